/* int8 depthwise convolution, one output channel for each input channel: image
 * rows in a ring, of which four kernel elements are interleaved to feed one dot
 * product instruction. */
#include "kernels/depthwise_conv2d/depthwise_conv2d.h"
#include "kernels/depthwise_conv2d/ring_avx512.h"

/* Groups of four kernel elements. */
static int32_t quads_of(const ft_dw_layout* d) { return (d->taps + 3) / 4; }

int ft_depthwise_conv2d_s8_avx512vnni_available(void) {
  return ft_has_avx512vnni();
}

int ft_depthwise_conv2d_s8_avx512vnni_accepts(const ft_conv_params* p) {
  return ft_dw_fits(p, 1);
}

size_t ft_depthwise_conv2d_s8_avx512vnni_packed_bytes(const ft_conv_params* p) {
  const ft_dw_layout d = ft_dw_layout_of(p, 1);
  return (size_t)quads_of(&d) * 4 * (size_t)d.period;
}

size_t ft_depthwise_conv2d_s8_avx512vnni_channels_bytes(
    const ft_conv_params* p) {
  return (size_t)(ft_dw_period_of(p->out_c) / FT_S8_PANEL) *
         sizeof(ft_s8_channels);
}

/* Floats of an output row, in whole groups. */
static int32_t row_floats(const ft_dw_layout* d) {
  return (d->out_values + 63) / 64 * 64;
}

/* The ring; with a difference of the weights one in floats, a row of sums, and
 * periods of the difference and of 1 / w_scale; periods of vectors. */
size_t ft_depthwise_conv2d_s8_avx512vnni_scratch_bytes(const ft_conv_params* p,
                                                       int has_delta,
                                                       int num_vectors) {
  const ft_dw_layout d = ft_dw_layout_of(p, 1), real = ft_dw_layout_of(p, 4);
  const int32_t periods = (has_delta ? d.taps + 1 : 0) + num_vectors;
  const size_t beside =
      has_delta ? ft_dw_ring_bytes(&real) + (size_t)row_floats(&d) * 4 : 0;
  return ft_dw_ring_bytes(&d) + beside +
         (size_t)periods * (size_t)d.period * sizeof(float);
}

/* Slot of channel value `i` (0 .. 63) of a group after interleaving: vector
 * (i % 16) / 4, lane i / 16 * 4 + i % 4. */
static int32_t vector_of(int32_t i) { return i % 16 / 4; }
static int32_t lane_of(int32_t i) { return i / 16 * 4 + i % 4; }
/* Where the value of a period's slot lies among interleaved values. */
static int32_t interleaved(int32_t slot) {
  return slot / 64 * 64 + vector_of(slot % 64) * 16 + lane_of(slot % 64);
}

/* Sums reach as far as weights and a side take them that adds up to `added`. */
static void pack_for(const ft_conv_params* p, const int8_t* w,
                     const int32_t* bias, const int32_t* multiplier,
                     const int32_t* shift, int32_t added, void* packed,
                     void* channels) {
  const ft_s8_result result = {p->y_zero_point, p->q_low, p->q_high, 0, added};
  const ft_dw_layout d = ft_dw_layout_of(p, 1);
  int8_t* to = (int8_t*)packed;
  ft_s8_channels* at = (ft_s8_channels*)channels;
  int32_t slot, tap;
  memset(packed, 0, (size_t)quads_of(&d) * 4 * (size_t)d.period);
  for (slot = 0; slot < d.period / FT_S8_PANEL; ++slot)
    ft_s8_clear_channels(&at[slot]);
  for (slot = 0; slot < d.period; ++slot) {
    const int32_t c = slot % p->out_c, group = slot / 64;
    const int32_t v = vector_of(slot % 64), lane = lane_of(slot % 64);
    ft_s8_weight_sums sums = {0, 0};
    for (tap = 0; tap < d.taps; ++tap) {
      const int8_t weight = w[tap * p->out_c + c];
      to[(((group * quads_of(&d) + tap / 4) * 4 + v) * 16 + lane) * 4 +
         tap % 4] = weight;
      ft_s8_add_weight(&sums, weight);
    }
    if (slot < p->out_c)
      ft_s8_set_channel(&at[group * 4 + v], lane, bias ? bias[c] : 0, sums,
                        p->x_zero_point, multiplier[c], shift[c], &result);
    else
      ft_s8_repeat_channel(&at[group * 4 + v], lane,
                           &at[c / 64 * 4 + vector_of(c % 64)],
                           lane_of(c % 64));
  }
}

void ft_depthwise_conv2d_s8_avx512vnni_pack(const ft_conv_params* p,
                                            const int8_t* w,
                                            const int32_t* bias,
                                            const int32_t* multiplier,
                                            const int32_t* shift, void* packed,
                                            void* channels) {
  pack_for(p, w, bias, multiplier, shift, 0, packed, channels);
}

void ft_depthwise_conv2d_s8_avx512vnni_pack_beside(
    const ft_conv_params* p, const int8_t* w, const int32_t* bias,
    const int32_t* multiplier, const int32_t* shift, void* packed,
    void* channels) {
  pack_for(p, w, bias, multiplier, shift, FT_SIDE_LIMIT(1), packed, channels);
}

typedef struct {
  const uint8_t* taps[FT_DW_MAX_TAPS + 3];
  const int8_t* w;
  const ft_s8_channels* channels;
  ft_s8_output output;
  /* w_delta as [tap][period] and 1 / w_scale as [period], or NULL. */
  const float *delta, *inv_w_scale;
  /* Interleaved, [period] each, or NULL: the difference to the bias in the
   * accumulator's unit, the gain, and the bias if that has no gain. */
  const float *difference, *gain;
  const int32_t* bias_outside;
  int32_t has_side, bias_inside;
  /* With delta: x in floats, in a ring of its own, and sums of an output row.
   */
  ft_dw_layout real;
  uint8_t* real_ring;
  const uint8_t* real_taps[FT_DW_MAX_TAPS];
  float* sums;
} dw_row;

/* Sums of x * w_delta of the values of a row that have channel slots `slot` ..
 * slot + 16; `taps` is a constant where weights shall stay in registers. */
static inline __attribute__((always_inline)) void sum_slots(
    const ft_dw_layout* d, const dw_row* r, int32_t slot, const int32_t taps) {
  const __m512 inv_w_scale = _mm512_loadu_ps(r->inv_w_scale + slot);
  __m512 w[FT_DW_MAX_TAPS];
  int32_t j, tap;
  FT_UNROLL_C for (tap = 0; tap < taps; ++tap) w[tap] =
      _mm512_loadu_ps(r->delta + tap * d->period + slot);
  for (j = slot; j < d->out_values; j += d->period) {
    __m512 sum = _mm512_setzero_ps();
    FT_UNROLL_C for (tap = 0; tap < taps; ++tap) sum = _mm512_add_ps(
        sum, _mm512_mul_ps(_mm512_loadu_ps((const float*)r->real_taps[tap] + j),
                           w[tap]));
    _mm512_storeu_ps(r->sums + j, _mm512_mul_ps(sum, inv_w_scale));
  }
}

static void sum_delta_row(const ft_dw_layout* d, const dw_row* r) {
  int32_t slot;
  for (slot = 0; slot < d->period; slot += 16) {
    if (d->taps == 9)
      sum_slots(d, r, slot, 9);
    else
      sum_slots(d, r, slot, d->taps);
  }
}

/* 64 sums at `j`, in the interleaved order: blocks of four are transposed,
 * vector v, block q <- vector q, block v. */
static void read_sums(const dw_row* r, int32_t j, __m512 sums[4]) {
  const __m512 s0 = _mm512_loadu_ps(r->sums + j);
  const __m512 s1 = _mm512_loadu_ps(r->sums + j + 16);
  const __m512 s2 = _mm512_loadu_ps(r->sums + j + 32);
  const __m512 s3 = _mm512_loadu_ps(r->sums + j + 48);
  const __m512 a = _mm512_shuffle_f32x4(s0, s1, 0x44);
  const __m512 b = _mm512_shuffle_f32x4(s2, s3, 0x44);
  const __m512 e = _mm512_shuffle_f32x4(s0, s1, 0xEE);
  const __m512 f = _mm512_shuffle_f32x4(s2, s3, 0xEE);
  sums[0] = _mm512_shuffle_f32x4(a, b, 0x88);
  sums[1] = _mm512_shuffle_f32x4(a, b, 0xDD);
  sums[2] = _mm512_shuffle_f32x4(e, f, 0x88);
  sums[3] = _mm512_shuffle_f32x4(e, f, 0xDD);
}

/* What is added to the accumulators of interleaved slots at .. at + 16, as the
 * C99 row computes it; `side` is their sum of x * w_delta. */
static inline __m512i finish_side(const dw_row* r, int32_t at, __m512i acc,
                                  __m512 side) {
  const __m512 difference =
      r->difference ? _mm512_loadu_ps(r->difference + at) : _mm512_setzero_ps();
  if (r->bias_inside) side = _mm512_add_ps(side, difference);
  if (r->gain) {
    const __m512 gain = _mm512_loadu_ps(r->gain + at);
    const __m512 above_one = _mm512_sub_ps(gain, _mm512_set1_ps(1));
    if (r->bias_outside)
      acc = _mm512_sub_epi32(acc, _mm512_loadu_si512(r->bias_outside + at));
    side = _mm512_add_ps(_mm512_mul_ps(above_one, _mm512_cvtepi32_ps(acc)),
                         _mm512_mul_ps(gain, side));
  }
  if (!r->bias_inside) side = _mm512_add_ps(side, difference);
  return ft_round_to_acc_512(side);
}

static void add_side(const dw_row* r, int32_t j, int32_t slot, __m512i acc[4]) {
  __m512 side[4];
  int v;
  FT_UNROLL_C for (v = 0; v < 4; ++v) side[v] = _mm512_setzero_ps();
  if (r->delta) read_sums(r, j, side);
  FT_UNROLL_C for (v = 0; v < 4; ++v) acc[v] =
      _mm512_add_epi32(acc[v], finish_side(r, slot + 16 * v, acc[v], side[v]));
}

static inline void add_quad(const uint8_t* const* taps, int32_t j,
                            const int8_t* w, __m512i acc[4]) {
  const __m512i a = _mm512_loadu_si512(taps[0] + j);
  const __m512i b = _mm512_loadu_si512(taps[1] + j);
  const __m512i c = _mm512_loadu_si512(taps[2] + j);
  const __m512i e = _mm512_loadu_si512(taps[3] + j);
  const __m512i ab_lo = _mm512_unpacklo_epi8(a, b);
  const __m512i ab_hi = _mm512_unpackhi_epi8(a, b);
  const __m512i ce_lo = _mm512_unpacklo_epi8(c, e);
  const __m512i ce_hi = _mm512_unpackhi_epi8(c, e);
  acc[0] = _mm512_dpbusd_epi32(acc[0], _mm512_unpacklo_epi16(ab_lo, ce_lo),
                               _mm512_loadu_si512(w));
  acc[1] = _mm512_dpbusd_epi32(acc[1], _mm512_unpackhi_epi16(ab_lo, ce_lo),
                               _mm512_loadu_si512(w + 64));
  acc[2] = _mm512_dpbusd_epi32(acc[2], _mm512_unpacklo_epi16(ab_hi, ce_hi),
                               _mm512_loadu_si512(w + 128));
  acc[3] = _mm512_dpbusd_epi32(acc[3], _mm512_unpackhi_epi16(ab_hi, ce_hi),
                               _mm512_loadu_si512(w + 192));
}

static void run_row(const ft_dw_layout* d, const dw_row* r, int8_t* y) {
  ft_s8_output line_output = r->output;
  int32_t j, group = 0;
  line_output.zero_point = _mm512_setzero_si512();
  for (j = 0; j < d->out_values; j += 64) {
    const ft_s8_channels* channels = r->channels + group * 4;
    const int8_t* w = r->w + (ptrdiff_t)group * quads_of(d) * 256;
    const int lines = r->gain ? 0 : ft_s8_num_lines(channels, 4);
    __m512i acc[4];
    int32_t quad;
    int v;
    FT_UNROLL_C for (v = 0; v < 4; ++v) acc[v] =
        _mm512_loadu_si512(lines ? channels[v].line_init : channels[v].init);
    for (quad = 0; quad < quads_of(d); ++quad)
      add_quad(r->taps + 4 * quad, j, w + quad * 256, acc);
    if (r->has_side) add_side(r, j, group * 64, acc);
    if (lines == 1) {
      FT_UNROLL_C for (v = 0; v < 4; ++v) acc[v] =
          ft_requantize_one_line_512(acc[v], &channels[v]);
    } else if (lines) {
      FT_UNROLL_C for (v = 0; v < 4; ++v) acc[v] =
          ft_requantize_line_512(acc[v], &channels[v]);
    } else {
      FT_UNROLL_C for (v = 0; v < 4; ++v) acc[v] =
          ft_requantize_512(acc[v], &channels[v]);
    }
    _mm512_mask_storeu_epi8(
        y + j, ft_first_bytes(d->out_values - j),
        ft_narrow_512(acc, lines ? &line_output : &r->output));
    if (++group == d->groups) group = 0;
  }
}

/* A value of each channel, repeated up to a whole period; gives what is behind
 * it. */
static float* repeat(const ft_conv_params* p, const ft_dw_layout* d,
                     const float* from, float* to) {
  const float* end = to + d->period;
  for (; to < end; to += p->out_c)
    memcpy(to, from, (size_t)p->out_c * sizeof(float));
  return to;
}

/* w_delta and 1 / w_scale; gives what is behind them. */
static float* repeat_delta(const ft_conv_params* p, const ft_dw_layout* d,
                           const float* delta, const float* inv_w_scale,
                           dw_row* r, float* to) {
  int32_t tap;
  r->delta = to;
  r->inv_w_scale = to + d->taps * d->period;
  for (tap = 0; tap < d->taps; ++tap)
    to = repeat(p, d, delta + tap * p->out_c, to);
  return repeat(p, d, inv_w_scale, to);
}

/* The vectors of an adapter, interleaved, behind one another. */
static void repeat_vectors(const ft_conv_params* p, const ft_dw_layout* d,
                           const ft_args* args, dw_row* r, float* to) {
  const int32_t* bias = (const int32_t*)args->in[2];
  const float* difference = (const float*)args->in[4];
  const float* gain = (const float*)args->in[5];
  const float* inv_w_scale = (const float*)args->aux[2];
  int32_t slot;
  if (difference) {
    for (slot = 0; slot < d->period; ++slot) {
      const int32_t c = slot % p->out_c;
      to[interleaved(slot)] = difference[c] * (inv_w_scale[c] / p->x_scale);
    }
    r->difference = to;
    to += d->period;
  }
  if (!gain) return;
  for (slot = 0; slot < d->period; ++slot)
    to[interleaved(slot)] = gain[slot % p->out_c];
  r->gain = to;
  if (bias && !r->bias_inside) {
    int32_t* outside = (int32_t*)(to + d->period);
    for (slot = 0; slot < d->period; ++slot)
      outside[interleaved(slot)] = bias[slot % p->out_c];
    r->bias_outside = outside;
  }
}

static void set_side(const ft_conv_params* p, const ft_dw_layout* d,
                     const ft_args* args, dw_row* r) {
  uint8_t* ring = (uint8_t*)args->scratch;
  float* to = (float*)(ring + ft_dw_ring_bytes(d));
  r->delta = r->inv_w_scale = r->difference = r->gain = NULL;
  r->bias_outside = NULL;
  r->has_side = args->in[3] || args->in[4] || args->in[5];
  r->bias_inside = !args->in[5] || p->gain_bias;
  if (args->in[3]) {
    r->real = ft_dw_layout_of(p, 4);
    r->real_ring = (uint8_t*)to;
    r->sums = (float*)(r->real_ring + ft_dw_ring_bytes(&r->real));
    to = repeat_delta(p, d, (const float*)args->in[3],
                      (const float*)args->aux[2], r, r->sums + row_floats(d));
  }
  repeat_vectors(p, d, args, r, to);
}

static void run_image(const ft_conv_params* p, const ft_dw_layout* d,
                      const int8_t* image, uint8_t* ring, dw_row* r,
                      int8_t* y) {
  int32_t next = -p->pad_top, next_real = next, oy, tap;
  for (oy = 0; oy < p->out_h; ++oy, y += d->out_values) {
    ft_dw_next_row(p, d, image, oy, ring, &next, r->taps);
    for (tap = d->taps; tap < 4 * quads_of(d); ++tap) r->taps[tap] = r->taps[0];
    if (r->delta) {
      ft_dw_next_row(p, &r->real, image, oy, r->real_ring, &next_real,
                     r->real_taps);
      sum_delta_row(d, r);
    }
    run_row(d, r, y);
  }
}

void ft_depthwise_conv2d_s8_avx512vnni(const void* params,
                                       const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const ft_dw_layout d = ft_dw_layout_of(p, 1);
  const int8_t* image = (const int8_t*)args->in[0];
  uint8_t* ring = (uint8_t*)args->scratch;
  int8_t* y = (int8_t*)args->out[0];
  dw_row r;
  int32_t n;
  r.w = (const int8_t*)args->aux[3];
  r.channels = (const ft_s8_channels*)args->aux[4];
  r.output = ft_s8_output_of(p->y_zero_point, p->q_low, p->q_high);
  set_side(p, &d, args, &r);
  for (n = 0; n < p->batch; ++n) {
    run_image(p, &d, image, ring, &r, y);
    image += (ptrdiff_t)p->in_h * p->in_w * p->in_c;
    y += (ptrdiff_t)p->out_h * d.out_values;
  }
}
