/* Windows of four output pixels and what becomes of their sums, for rows of
 * Helium (quant/s8_helium.h). */
#ifndef FT_KERNELS_CONV2D_HELIUM_PIXELS_H_
#define FT_KERNELS_CONV2D_HELIUM_PIXELS_H_

#include "kernels/conv2d/im2col_s8.h"
#include "kernels/quant/s8_helium.h"

enum { FT_MVE_PIXELS = 4, FT_MVE_RANK = 16 };

/* Four output channels of four pixels, a word for each pixel, from sums by
 * `dot`, which moves w on: with a copy of it for each channel, or, where it is
 * long, with one. */
#define FT_MVE_UNROLLED_CHANNELS(dot)               \
  do {                                              \
    int16x8_t even_ = vdupq_n_s16(0), odd_ = even_; \
    int32x4_t s_ = dot;                             \
    FT_MVE_REQUANTIZE("b", s_, c, even_);           \
    s_ = dot;                                       \
    FT_MVE_REQUANTIZE("b", s_, c, odd_);            \
    s_ = dot;                                       \
    FT_MVE_REQUANTIZE("t", s_, c, even_);           \
    s_ = dot;                                       \
    FT_MVE_REQUANTIZE("t", s_, c, odd_);            \
    v = vqmovntq_s16(vqmovnbq_s16(v, even_), odd_); \
  } while (0)

#define FT_MVE_LOOPED_CHANNELS(dot)                                         \
  do {                                                                      \
    const ft_device_channel* const last_ = c + 4;                           \
    int16x8_t low_ = vdupq_n_s16(0);                                        \
    uint32x4_t words_ = vdupq_n_u32(0);                                     \
    while (c != last_) {                                                    \
      int32x4_t s_ = dot;                                                   \
      FT_MVE_REQUANTIZE("b", s_, c, low_);                                  \
      v = vqmovnbq_s16(v, low_);                                            \
      words_ =                                                              \
          vsliq_n_u32(vshrq_n_u32(words_, 8), vreinterpretq_u32_s8(v), 24); \
    }                                                                       \
    v = vreinterpretq_s8_u32(words_);                                       \
  } while (0)

/* Four pixels of a plain layer without a side, whose output channels are a
 * multiple of 4; `dot` gives the four sums of the channel at w. */
#define FT_MVE_DEFINE_PIXELS(name, layer, load, four, dot)                     \
  static void name(const layer* l, int32_t groups, const int8_t* const* x,     \
                   int8_t* y) {                                                \
    const ft_conv_params* p = l->p;                                            \
    const int clamps = p->q_low > -128 || p->q_high < 127;                     \
    const ft_device_channel* c = ft_channel_list(l->channels);                 \
    const int8_t* end = y + p->out_c;                                          \
    const int8_t* w = (const int8_t*)l->w;                                     \
    const uint32x4_t to = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)p->out_c); \
    load;                                                                      \
    (void)groups;                                                              \
    for (; y != end; y += 4) {                                                 \
      int8x16_t v = vdupq_n_s8(0);                                             \
      four(dot);                                                               \
      if (clamps) {                                                            \
        v = vmaxq_s8(v, vdupq_n_s8((int8_t)p->q_low));                         \
        v = vminq_s8(v, vdupq_n_s8((int8_t)p->q_high));                        \
      }                                                                        \
      vstrwq_scatter_offset_s32((int32_t*)(void*)y, to,                        \
                                vreinterpretq_s32_s8(v));                      \
    }                                                                          \
  }

#define FT_MVE_LOAD_ROWS                                    \
  const int8x16_t x0 = vld1q_s8(x[0]), x1 = vld1q_s8(x[1]); \
  const int8x16_t x2 = vld1q_s8(x[2]), x3 = vld1q_s8(x[3])
#define FT_MVE_LOAD_POINTERS \
  const int8_t *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3]

static inline int32x4_t ft_mve_dot_any(const int8_t** w, const int8_t* const* x,
                                       int32_t groups) {
  const int32x4_t sums = ft_mve_dot_4x1(*w, x, groups);
  *w += 16 * groups;
  return sums;
}

/* Copies the window of a pixel, whose rows are single runs in the image's
 * middle. */
static inline void ft_mve_gather(const ft_conv_params* p, const int8_t* x,
                                 const ft_cursor* at, int8_t* to) {
  const int32_t y0 = at->oy * p->stride_h - p->pad_top;
  const int32_t x0 = at->ox * p->stride_w - p->pad_left;
  const int32_t row = p->in_w * p->in_c, run = p->k_w * p->in_c;
  const int8_t* from =
      x + ((at->image * p->in_h + y0) * p->in_w + x0) * p->in_c;
  const int8_t* end = to + p->k_h * run;
  if (y0 < 0 || x0 < 0 || p->dilation_w > 1 || x0 + p->k_w > p->in_w ||
      y0 + (p->k_h - 1) * p->dilation_h >= p->in_h) {
    ft_im2col_s8(p, x, at, to);
    return;
  }
  for (; to != end; to += run, from += p->dilation_h * row)
    ft_mve_copy(to, from, run);
}

/* Where the window of a pixel stands as one run of whole vectors: in the image,
 * where what follows it meets weights of 0, or copied to `bytes`. */
static inline const int8_t* ft_mve_window(const ft_conv_params* p,
                                          const int8_t* x, const ft_cursor* at,
                                          int32_t k16, int8_t* bytes) {
  if (ft_is_pointwise(p)) {
    const int32_t row = at->image * p->in_h + at->oy * p->stride_h;
    const int32_t first = (row * p->in_w + at->ox * p->stride_w) * p->in_c;
    if (first + k16 <= p->batch * p->in_h * p->in_w * p->in_c) return x + first;
  }
  ft_mve_gather(p, x, at, bytes);
  return bytes;
}

#endif /* FT_KERNELS_CONV2D_HELIUM_PIXELS_H_ */
