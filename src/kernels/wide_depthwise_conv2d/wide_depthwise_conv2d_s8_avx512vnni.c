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

/* The ring, weights [half][pair][2 vectors], start [half][2 vectors]. */
size_t ft_wide_depthwise_conv2d_s8_avx512vnni_scratch_bytes(
    const ft_conv_params* p) {
  const ft_dw_layout d = ft_dw_layout_of(p, 2);
  return ft_dw_ring_bytes(&d) +
         (size_t)(pairs_of(&d) + 1) * (size_t)d.period * sizeof(int32_t);
}

/* Vectors 2 i and 2 i + 1 hold half i of 32 slots: of its eight blocks of four
 * channels the even ones and the odd ones, as two vectors are unpacked. */
static int32_t vector_of(int32_t slot) { return slot / 32 * 2 + slot % 8 / 4; }
static int32_t lane_of(int32_t slot) { return slot % 32 / 8 * 4 + slot % 4; }
static int32_t block_of(int32_t vector, int32_t quarter) {
  return vector / 2 * 8 + vector % 2 + 2 * quarter;
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
    ft_s8_channels* to = &at[vector_of(slot)];
    if (slot < p->out_c)
      ft_s8_set_channel(to, lane_of(slot), 0, none, 0, multiplier[c], shift[c],
                        &result);
    else
      ft_s8_repeat_channel(to, lane_of(slot), &at[vector_of(c)], lane_of(c));
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
  const int32_t blocks = p->out_c / 4, pairs = pairs_of(d);
  int32_t v, quarter, pair;
  for (v = 0; v < d->period / 16; ++v) {
    int32_t* to = w + ((ptrdiff_t)v / 2 * pairs * 2 + v % 2) * 16;
    for (quarter = 0; quarter < 4; ++quarter, to += 4) {
      const int32_t block = block_of(v, quarter) % blocks;
      const int16_t* weights = from + (ptrdiff_t)block * d->taps * 4;
      memcpy(start + v * 16 + quarter * 4, begin + block * 4,
             4 * sizeof(int32_t));
      for (pair = 0; pair < pairs; ++pair)
        _mm_storeu_si128((__m128i*)(to + pair * 32),
                         pair_of(weights, 2 * pair, d->taps));
    }
  }
}

static inline void load2(const int32_t* from, __m512i to[2]) {
  to[0] = _mm512_loadu_si512(from);
  to[1] = _mm512_loadu_si512(from + 16);
}

/* Loaded once: compilers like to load again where it is used. */
#define KEEP(v) __asm__("" : "+v"(v))

static inline __attribute__((always_inline)) void add_pair(const uint8_t* a,
                                                           const uint8_t* b,
                                                           const __m512i w[2],
                                                           __m512i acc[2]) {
  __m512i x = _mm512_loadu_si512(a), z = _mm512_loadu_si512(b);
  KEEP(x);
  KEEP(z);
  acc[0] = _mm512_dpwssd_epi32(acc[0], _mm512_unpacklo_epi16(x, z), w[0]);
  acc[1] = _mm512_dpwssd_epi32(acc[1], _mm512_unpackhi_epi16(x, z), w[1]);
}

/* 32 sums to bytes in their order; `lines` is a constant. */
static inline __attribute__((always_inline)) __m256i finish(
    const wide_row* r, const ft_s8_channels* c, const int lines,
    __m512i acc[2]) {
  __m512i q;
  int v;
  FT_UNROLL_C for (v = 0; v < 2; ++v) {
    acc[v] = _mm512_srai_epi32(acc[v], FT_WIDE_BITS);
    if (lines)
      acc[v] = _mm512_add_epi32(acc[v], _mm512_loadu_si512(c[v].line_init));
    acc[v] = lines == 1   ? ft_requantize_one_line_512(acc[v], &c[v])
             : lines == 2 ? ft_requantize_line_512(acc[v], &c[v])
                          : ft_requantize_512(acc[v], &c[v]);
  }
  q = _mm512_packs_epi32(acc[0], acc[1]);
  if (!lines) q = _mm512_adds_epi16(q, r->output.zero_point);
  return _mm256_min_epi8(_mm256_max_epi8(_mm512_cvtsepi16_epi8(q),
                                         _mm512_castsi512_si256(r->output.low)),
                         _mm512_castsi512_si256(r->output.high));
}

static inline void store(const ft_dw_layout* d, int32_t j, __m256i bytes,
                         int8_t* y) {
  if (d->out_values - j >= 32)
    _mm256_storeu_si256((__m256i*)(y + j), bytes);
  else
    _mm256_mask_storeu_epi8(y + j, ft_dw_first(d->out_values - j), bytes);
}

/* The values of an output row that have the channels of half `i`; `lines` is a
 * constant. */
static inline __attribute__((always_inline)) void run_half(
    const ft_dw_layout* d, const wide_row* r, int32_t i, const int lines,
    int8_t* y) {
  const int32_t pairs = pairs_of(d);
  const int32_t* w = r->w + (ptrdiff_t)i * pairs * 32;
  int32_t j, pair;
  for (j = i * 32; j < d->out_values; j += d->period) {
    __m512i acc[2], weights[2];
    load2(r->start + i * 32, acc);
    for (pair = 0; pair < pairs; ++pair) {
      load2(w + pair * 32, weights);
      add_pair(r->taps[2 * pair] + 2 * j, r->taps[2 * pair + 1] + 2 * j,
               weights, acc);
    }
    store(d, j, finish(r, r->channels + 2 * i, lines, acc), y);
  }
}

/* The same of nine kernel elements, whose weights stay in registers. */
static inline __attribute__((always_inline)) void run_half_of_9(
    const ft_dw_layout* d, const wide_row* r, int32_t i, const int lines,
    int8_t* y) {
  __m512i w[5][2];
  int32_t j;
  int pair;
  FT_UNROLL_C for (pair = 0; pair < 5; ++pair) {
    load2(r->w + i * 160 + pair * 32, w[pair]);
    KEEP(w[pair][0]);
    KEEP(w[pair][1]);
  }
  for (j = i * 32; j < d->out_values; j += d->period) {
    __m512i acc[2];
    load2(r->start + i * 32, acc);
    FT_UNROLL_C for (pair = 0; pair < 5; ++pair) add_pair(
        r->taps[2 * pair] + 2 * j, r->taps[2 * pair + 1] + 2 * j, w[pair], acc);
    store(d, j, finish(r, r->channels + 2 * i, lines, acc), y);
  }
}

static void run_row(const ft_dw_layout* d, const wide_row* r, int8_t* y) {
  int32_t i;
  for (i = 0; i < d->period / 32; ++i) {
    const int lines = ft_s8_num_lines(r->channels + 2 * i, 2);
    if (lines == 1 && d->taps == 9)
      run_half_of_9(d, r, i, 1, y);
    else if (lines == 2 && d->taps == 9)
      run_half_of_9(d, r, i, 2, y);
    else if (lines == 1)
      run_half(d, r, i, 1, y);
    else if (lines == 2)
      run_half(d, r, i, 2, y);
    else
      run_half(d, r, i, 0, y);
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
