/* int8 depthwise convolution with 16-bit weights that can be swapped: a ring of
 * image rows in halfwords, of which two kernel elements are interleaved to feed
 * one dot product instruction. Weights are put into that order for each call.
 */
#include "kernels/depthwise_conv2d/ring_avx512.h"
#include "kernels/wide_depthwise_conv2d/wide_depthwise_conv2d.h"

static int32_t pairs_of(const ft_dw_layout* d) { return (d->taps + 1) / 2; }

int ft_wide_depthwise_conv2d_s8_avx512vnni_available(void) {
  return ft_has_avx512vnni();
}

int ft_wide_depthwise_conv2d_s8_avx512vnni_accepts(const ft_conv_params* p) {
  return p->out_c % 4 == 0 && ft_dw_fits(p, 2);
}

size_t ft_wide_depthwise_conv2d_s8_avx512vnni_channels_bytes(
    const ft_conv_params* p) {
  return (size_t)(ft_dw_period_of(p->out_c) / FT_S8_PANEL) *
         sizeof(ft_s8_channels);
}

/* The ring, weights [group][pair][4 vectors], start [group][4 vectors]. */
size_t ft_wide_depthwise_conv2d_s8_avx512vnni_scratch_bytes(
    const ft_conv_params* p) {
  const ft_dw_layout d = ft_dw_layout_of(p, 2);
  return ft_dw_ring_bytes(&d) +
         (size_t)(pairs_of(&d) + 1) * (size_t)d.period * sizeof(int32_t);
}

/* Of 64 slots, vector v holds those of blocks of four 8 (v / 2) + v % 2 and
 * every second one from there. */
static int32_t vector_of(int32_t i) { return i / 32 * 2 + i % 8 / 4; }
static int32_t lane_of(int32_t i) { return i % 32 / 8 * 4 + i % 4; }
static int32_t block_of(int32_t v, int32_t quarter) {
  return v / 2 * 8 + v % 2 + 2 * quarter;
}

/* Sums are divided before they are requantized: that is their range. */
void ft_wide_depthwise_conv2d_s8_avx512vnni_pack(const ft_conv_params* p,
                                                 const int32_t* multiplier,
                                                 const int32_t* shift,
                                                 void* channels) {
  const ft_s8_result result = {p->y_zero_point, p->q_low, p->q_high, 0,
                               1 << (31 - FT_WIDE_BITS)};
  const ft_s8_weight_sums none = {0, 0};
  const int32_t period = ft_dw_period_of(p->out_c);
  ft_s8_channels* at = (ft_s8_channels*)channels;
  int32_t slot;
  for (slot = 0; slot < period / FT_S8_PANEL; ++slot)
    ft_s8_clear_channels(&at[slot]);
  for (slot = 0; slot < period; ++slot) {
    const int32_t c = slot % p->out_c;
    ft_s8_channels* to = &at[slot / 64 * 4 + vector_of(slot % 64)];
    if (slot < p->out_c)
      ft_s8_set_channel(to, lane_of(slot % 64), 0, none, 0, multiplier[c],
                        shift[c], &result);
    else
      ft_s8_repeat_channel(to, lane_of(slot % 64),
                           &at[c / 64 * 4 + vector_of(c % 64)],
                           lane_of(c % 64));
  }
}

typedef struct {
  const uint8_t* taps[FT_DW_MAX_TAPS + 1];
  const int32_t *w, *start;
  const ft_s8_channels* channels;
  ft_s8_output output;
} wide_row;

/* Four channels' weights of kernel elements `tap` and `tap` + 1, in pairs. */
static inline __m128i pair_of(const int16_t* block, int32_t tap, int32_t taps) {
  const __m128i order =
      _mm_setr_epi8(0, 1, 8, 9, 4, 5, 12, 13, 2, 3, 10, 11, 6, 7, 14, 15);
  const __m128i* from = (const __m128i*)(block + 4 * tap);
  return _mm_shuffle_epi8(
      tap + 1 < taps ? _mm_loadu_si128(from) : _mm_loadl_epi64(from), order);
}

static void pack_values(const ft_conv_params* p, const ft_dw_layout* d,
                        const ft_args* args, int32_t* w, int32_t* start) {
  const int16_t* from = (const int16_t*)args->in[1];
  const int32_t* begin = (const int32_t*)args->in[2];
  const int32_t blocks = p->out_c / 4;
  int32_t group, pair, v, quarter;
  for (group = 0; group < d->groups; ++group) {
    for (v = 0; v < 4; ++v) {
      for (quarter = 0; quarter < 4; ++quarter) {
        const int32_t block = (group * 16 + block_of(v, quarter)) % blocks;
        int32_t* to = w + (ptrdiff_t)group * pairs_of(d) * 64 + v * 16;
        memcpy(start + group * 64 + v * 16 + quarter * 4, begin + block * 4,
               4 * sizeof(int32_t));
        for (pair = 0; pair < pairs_of(d); ++pair)
          _mm_storeu_si128((__m128i*)(to + pair * 64 + quarter * 4),
                           pair_of(from + (ptrdiff_t)block * d->taps * 4,
                                   2 * pair, d->taps));
      }
    }
  }
}

static inline void add_pair(const uint8_t* a, const uint8_t* b,
                            const int32_t* w, __m512i acc[4]) {
  const __m512i a0 = _mm512_loadu_si512(a), a1 = _mm512_loadu_si512(a + 64);
  const __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + 64);
  acc[0] = _mm512_dpwssd_epi32(acc[0], _mm512_unpacklo_epi16(a0, b0),
                               _mm512_loadu_si512(w));
  acc[1] = _mm512_dpwssd_epi32(acc[1], _mm512_unpackhi_epi16(a0, b0),
                               _mm512_loadu_si512(w + 16));
  acc[2] = _mm512_dpwssd_epi32(acc[2], _mm512_unpacklo_epi16(a1, b1),
                               _mm512_loadu_si512(w + 32));
  acc[3] = _mm512_dpwssd_epi32(acc[3], _mm512_unpackhi_epi16(a1, b1),
                               _mm512_loadu_si512(w + 48));
}

/* 64 sums to bytes in their order. */
static inline __m512i finish(const wide_row* r, const ft_s8_channels* channels,
                             __m512i acc[4]) {
  const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
  const int lines = ft_s8_num_lines(channels, 4);
  ft_s8_output output = r->output;
  int v;
  FT_UNROLL_C for (v = 0; v < 4; ++v) acc[v] =
      _mm512_srai_epi32(acc[v], FT_WIDE_BITS);
  if (lines == 0) {
    FT_UNROLL_C for (v = 0; v < 4; ++v) acc[v] =
        ft_requantize_512(acc[v], &channels[v]);
    return _mm512_permutexvar_epi64(order, ft_narrow_512(acc, &output));
  }
  FT_UNROLL_C for (v = 0; v < 4; ++v) acc[v] =
      _mm512_add_epi32(acc[v], _mm512_loadu_si512(channels[v].line_init));
  if (lines == 1) {
    FT_UNROLL_C for (v = 0; v < 4; ++v) acc[v] =
        ft_requantize_one_line_512(acc[v], &channels[v]);
  } else {
    FT_UNROLL_C for (v = 0; v < 4; ++v) acc[v] =
        ft_requantize_line_512(acc[v], &channels[v]);
  }
  output.zero_point = _mm512_setzero_si512();
  return _mm512_permutexvar_epi64(order, ft_narrow_512(acc, &output));
}

static void run_row(const ft_dw_layout* d, const wide_row* r, int8_t* y) {
  const int32_t pairs = pairs_of(d);
  int32_t j, group = 0, pair;
  for (j = 0; j < d->out_values; j += 64) {
    const int32_t* w = r->w + (ptrdiff_t)group * pairs * 64;
    const int32_t* start = r->start + group * 64;
    __m512i acc[4];
    int v;
    FT_UNROLL_C for (v = 0; v < 4; ++v) acc[v] =
        _mm512_loadu_si512(start + 16 * v);
    for (pair = 0; pair < pairs; ++pair)
      add_pair(r->taps[2 * pair] + 2 * j, r->taps[2 * pair + 1] + 2 * j,
               w + pair * 64, acc);
    _mm512_mask_storeu_epi8(y + j, ft_first_bytes(d->out_values - j),
                            finish(r, r->channels + group * 4, acc));
    if (++group == d->groups) group = 0;
  }
}

void ft_wide_depthwise_conv2d_s8_avx512vnni(const void* params,
                                            const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const ft_dw_layout d = ft_dw_layout_of(p, 2);
  const int8_t* image = (const int8_t*)args->in[0];
  uint8_t* ring = (uint8_t*)args->scratch;
  int32_t* w = (int32_t*)(ring + ft_dw_ring_bytes(&d));
  int32_t* start = w + (ptrdiff_t)pairs_of(&d) * d.period;
  int8_t* y = (int8_t*)args->out[0];
  wide_row r;
  int32_t n, oy;
  pack_values(p, &d, args, w, start);
  r.w = w;
  r.start = start;
  r.channels = (const ft_s8_channels*)args->aux[2];
  r.output = ft_s8_output_of(p->y_zero_point, p->q_low, p->q_high);
  for (n = 0; n < p->batch; ++n) {
    int32_t next = -p->pad_top;
    for (oy = 0; oy < p->out_h; ++oy, y += d.out_values) {
      ft_dw_next_row(p, &d, image, oy, ring, &next, r.taps);
      r.taps[d.taps] = r.taps[0]; /* times 0, where their number is odd */
      run_row(&d, &r, y);
    }
    image += (ptrdiff_t)p->in_h * p->in_w * p->in_c;
  }
}
