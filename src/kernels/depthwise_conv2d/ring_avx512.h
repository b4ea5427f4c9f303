/* Image rows of the int8 depthwise rows of AVX-512: a ring of rows, padded with
 * real 0 and split by horizontal stride, so that every kernel element reads one
 * contiguous run. An output row is one long vector of out_w * c values, 64 at a
 * time, whose channel constants repeat every `period` values (a multiple of c
 * and 64). Values are bytes, unsigned, or halfwords, or floats less the zero
 * point. */
#ifndef FT_KERNELS_DEPTHWISE_CONV2D_RING_AVX512_H_
#define FT_KERNELS_DEPTHWISE_CONV2D_RING_AVX512_H_

#include "kernels/conv2d/conv_params.h"
#include "kernels/quant/s8_avx512.h"

enum {
  FT_DW_MAX_TAPS = 64,
  FT_DW_MAX_PERIOD = 2048,
  FT_DW_MAX_RING_BYTES = 1 << 22
};

typedef struct {
  int32_t period, groups;  /* groups of 64 channel slots in a period */
  int32_t taps;            /* kernel elements */
  int32_t slots;           /* image rows in the ring */
  int32_t value_bytes;     /* 1, 2 or 4 */
  int32_t zero_point;      /* of x */
  int32_t phase_positions; /* padded positions in a phase of a row */
  int32_t phase_bytes, row_bytes;
  int32_t out_values;         /* of an output row */
  int32_t at[FT_DW_MAX_TAPS]; /* of kernel column kx in a row of the ring */
} ft_dw_layout;

static inline int32_t ft_dw_period_of(int32_t channels) {
  int32_t a = channels, b = 64;
  while (b != 0) {
    const int32_t rest = a % b;
    a = b;
    b = rest;
  }
  return channels / a * 64;
}

static inline ft_dw_layout ft_dw_layout_of(const ft_conv_params* p,
                                           int32_t value_bytes) {
  const int32_t width =
      (p->out_w - 1) * p->stride_w + (p->k_w - 1) * p->dilation_w + 1;
  ft_dw_layout d;
  int32_t kx;
  d.period = ft_dw_period_of(p->out_c);
  d.groups = d.period / 64;
  d.taps = p->k_h * p->k_w;
  d.slots = (p->k_h - 1) * p->dilation_h + 1;
  d.value_bytes = value_bytes;
  d.zero_point = p->x_zero_point;
  d.phase_positions = (width + p->stride_w - 1) / p->stride_w;
  /* The last vector of a row is read whole. */
  d.phase_bytes =
      ((d.phase_positions * p->out_c + 63) / 64 * 64 + 64) * value_bytes;
  d.row_bytes = d.phase_bytes * p->stride_w;
  d.out_values = p->out_w * p->out_c;
  for (kx = 0; kx < p->k_w && kx < FT_DW_MAX_TAPS; ++kx) {
    const int32_t x = kx * p->dilation_w;
    d.at[kx] = x % p->stride_w * d.phase_bytes +
               x / p->stride_w * p->in_c * value_bytes;
  }
  return d;
}

static inline size_t ft_dw_ring_bytes(const ft_dw_layout* d) {
  return (size_t)d->slots * (size_t)d->row_bytes;
}

static inline int ft_dw_fits(const ft_conv_params* p, int32_t value_bytes) {
  ft_dw_layout d;
  if (p->in_c != p->out_c || p->in_c > FT_DW_MAX_PERIOD ||
      ft_dw_period_of(p->in_c) > FT_DW_MAX_PERIOD || p->k_h > FT_DW_MAX_TAPS ||
      p->k_w > FT_DW_MAX_TAPS || p->k_h * p->k_w > FT_DW_MAX_TAPS ||
      p->dilation_h > 64 || p->dilation_w > 64 || p->stride_w > 8 ||
      p->out_w > 4096)
    return 0;
  d = ft_dw_layout_of(p, value_bytes);
  return (int64_t)d.slots * d.row_bytes <= FT_DW_MAX_RING_BYTES;
}

static inline __mmask32 ft_dw_first(int32_t count) {
  return count >= 32 ? ~(__mmask32)0 : ((__mmask32)1 << count) - 1;
}

static inline __m512i ft_dw_widened(const ft_dw_layout* d, __m256i x) {
  if (d->value_bytes == 2) return _mm512_cvtepi8_epi16(x);
  return _mm512_castps_si512(_mm512_cvtepi32_ps(
      _mm512_sub_epi32(_mm512_cvtepi8_epi32(_mm256_castsi256_si128(x)),
                       _mm512_set1_epi32(d->zero_point))));
}

/* `count` values of x from `from`, as the ring holds them. */
static inline void ft_dw_copy(const ft_dw_layout* d, const int8_t* from,
                              int32_t count, uint8_t* to) {
  const int32_t step = 64 / d->value_bytes;
  if (d->value_bytes == 1) {
    ft_copy_unsigned(from, count, to);
    return;
  }
  for (; count >= 32; count -= step, from += step, to += 64)
    _mm512_storeu_si512(
        to, ft_dw_widened(d, _mm256_loadu_si256((const __m256i*)from)));
  for (; count > 0; count -= step, from += step, to += 64)
    _mm512_mask_storeu_epi8(
        to, ft_first_bytes(count * d->value_bytes),
        ft_dw_widened(d, _mm256_maskz_loadu_epi8(ft_dw_first(count), from)));
}

/* `count` times real 0. */
static inline void ft_dw_clear(const ft_dw_layout* d, int32_t count,
                               uint8_t* to) {
  const __m512i zero =
      d->value_bytes == 1   ? _mm512_set1_epi8((char)(d->zero_point + 128))
      : d->value_bytes == 2 ? _mm512_set1_epi16((int16_t)d->zero_point)
                            : _mm512_setzero_si512();
  int32_t bytes = count * d->value_bytes;
  for (; bytes >= 64; bytes -= 64, to += 64) _mm512_storeu_si512(to, zero);
  if (bytes > 0) _mm512_mask_storeu_epi8(to, ft_first_bytes(bytes), zero);
}

/* One padded image row (`iy` may lie outside), split by stride. */
static inline void ft_dw_fill_row(const ft_conv_params* p,
                                  const ft_dw_layout* d, const int8_t* image,
                                  int32_t iy, uint8_t* row) {
  const int32_t c = p->in_c, stride = p->stride_w, wide = d->value_bytes;
  const int32_t phase_values = d->phase_bytes / wide;
  int32_t phase, i;
  if (iy < 0 || iy >= p->in_h) {
    ft_dw_clear(d, d->row_bytes / wide, row);
    return;
  }
  image += (ptrdiff_t)iy * p->in_w * c;
  for (phase = 0; phase < stride; ++phase, row += d->phase_bytes) {
    /* Position i of the phase is image column i * stride + first. */
    const int32_t first = phase - p->pad_left;
    const int32_t room = p->in_w - first;
    int32_t begin = first < 0 ? (-first + stride - 1) / stride : 0;
    int32_t end = room > 0 ? (room - 1) / stride + 1 : 0;
    if (end > d->phase_positions) end = d->phase_positions;
    if (begin > end) begin = end;
    ft_dw_clear(d, begin * c, row);
    ft_dw_clear(d, phase_values - end * c, row + end * c * wide);
    if (stride == 1) {
      ft_dw_copy(d, image + (ptrdiff_t)(begin + first) * c, (end - begin) * c,
                 row + begin * c * wide);
      continue;
    }
    for (i = begin; i < end; ++i)
      ft_dw_copy(d, image + (ptrdiff_t)(i * stride + first) * c, c,
                 row + i * c * wide);
  }
}

/* Where each kernel element of output row `oy` reads, from the image row that
 * the ring takes next, which moves on. Begin with -pad_top. */
static inline void ft_dw_next_row(const ft_conv_params* p,
                                  const ft_dw_layout* d, const int8_t* image,
                                  int32_t oy, uint8_t* ring, int32_t* next,
                                  const uint8_t** taps) {
  const int32_t y0 = oy * p->stride_h - p->pad_top;
  int32_t ky, kx;
  if (*next < y0) *next = y0;
  for (; *next < y0 + d->slots; ++*next)
    ft_dw_fill_row(
        p, d, image, *next,
        ring + (ptrdiff_t)((*next + p->pad_top) % d->slots) * d->row_bytes);
  for (ky = 0; ky < p->k_h; ++ky) {
    const int32_t slot = (y0 + ky * p->dilation_h + p->pad_top) % d->slots;
    for (kx = 0; kx < p->k_w; ++kx)
      *taps++ = ring + (ptrdiff_t)slot * d->row_bytes + d->at[kx];
  }
}

#endif /* FT_KERNELS_DEPTHWISE_CONV2D_RING_AVX512_H_ */
