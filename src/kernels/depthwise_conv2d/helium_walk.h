/* Where the taps of depthwise rows of Helium stand, from one vector of output
 * to the next: in the middle of an image row all of them move on alike.
 * Scratch: ft_depthwise_lanes_scratch(). */
#ifndef FT_KERNELS_DEPTHWISE_CONV2D_HELIUM_WALK_H_
#define FT_KERNELS_DEPTHWISE_CONV2D_HELIUM_WALK_H_

#include <arm_mve.h>
#include <string.h>

#include "kernels/depthwise_conv2d/depthwise_lanes.h"
#include "kernels/depthwise_conv2d/tap_rows.h"

/* `taps`: addresses as if all columns were in the image; rows outside of it
 * point to zero points, and do not move. `edge`: the taps of a vector that has
 * columns outside. */
typedef struct {
  uint32_t *taps, *deltas; /* from one vector to the next */
  const int8_t** edge;
  int8_t *outside, *copies;
  int32_t words; /* of taps and deltas, a multiple of 4 */
} ft_mve_walk;

static inline ft_mve_walk ft_mve_walk_of(const ft_conv_params* p,
                                         void* scratch) {
  ft_mve_walk w;
  w.words = ft_depthwise_lanes_words(p);
  w.taps = (uint32_t*)scratch;
  w.deltas = w.taps + w.words;
  w.edge = (const int8_t**)(w.deltas + w.words);
  w.outside = (int8_t*)(w.edge + w.words);
  w.copies = w.outside + ft_depthwise_lanes_row(p);
  memset(scratch, 0, (size_t)w.words * 12);
  memset(w.outside, p->x_zero_point, (size_t)ft_depthwise_lanes_row(p));
  return w;
}

/* Begins one vector before the first of the image row at `at`. */
static inline void ft_mve_walk_row(const ft_conv_params* p, const int8_t* x,
                                   const ft_cursor* at, int32_t pixels,
                                   ft_mve_walk* w) {
  const uint32_t delta = (uint32_t)(pixels * p->stride_w * p->in_c);
  const uint32_t step = (uint32_t)(p->dilation_w * p->in_c);
  const int32_t y0 = at->oy * p->stride_h - p->pad_top;
  uint32_t* tap = w->taps;
  int32_t ky, kx;
  for (ky = 0; ky < p->k_h; ++ky) {
    const int32_t row = y0 + ky * p->dilation_h;
    const int inside = row >= 0 && row < p->in_h;
    const int32_t first =
        ((at->image * p->in_h + row) * p->in_w - p->pad_left) * p->in_c;
    uint32_t from =
        inside ? (uint32_t)x + (uint32_t)first - delta : (uint32_t)w->outside;
    for (kx = 0; kx < p->k_w; ++kx, ++tap, from += inside ? step : 0) {
      *tap = from;
      tap[w->words] = inside ? delta : 0;
    }
  }
}

/* Copies the taps of `pixels` pixels, some outside of the image. */
static inline void ft_mve_copy_taps(const ft_conv_params* p, const int8_t* x,
                                    const ft_cursor* at, int32_t pixels,
                                    const ft_mve_walk* w) {
  const int32_t count = p->k_h * p->k_w;
  ft_cursor one = *at;
  int32_t i, j;
  for (j = 0; j < pixels; ++j, ++one.ox) {
    ft_tap_rows(p, x, &one, w->outside, w->edge);
    for (i = 0; i < count; ++i)
      memcpy(w->copies + i * FT_LANES + j * p->in_c, w->edge[i],
             (size_t)p->in_c);
  }
  for (i = 0; i < count; ++i) w->edge[i] = w->copies + i * FT_LANES;
}

/* Columns outside of the image, from x0 on, point to zero points. */
static inline void ft_mve_mask_taps(const ft_conv_params* p, int32_t x0,
                                    const ft_mve_walk* w) {
  const int32_t count = p->k_h * p->k_w;
  int32_t kx, i;
  for (kx = 0; kx < p->k_w; ++kx, x0 += p->dilation_w) {
    const int inside = x0 >= 0 && x0 < p->in_w;
    for (i = kx; i < count; i += p->k_w)
      w->edge[i] = inside ? (const int8_t*)w->taps[i] : w->outside;
  }
}

/* The taps of the next vector, which is at `at`. */
static inline const int8_t* const* ft_mve_walk_next(const ft_conv_params* p,
                                                    const int8_t* x,
                                                    const ft_cursor* at,
                                                    int32_t pixels,
                                                    const ft_mve_walk* w) {
  const int32_t x0 = at->ox * p->stride_w - p->pad_left;
  const int32_t last = x0 + (p->k_w - 1) * p->dilation_w + pixels - 1;
  int32_t i;
  for (i = 0; i < w->words; i += 4)
    vst1q_u32(w->taps + i,
              vaddq_u32(vld1q_u32(w->taps + i), vld1q_u32(w->deltas + i)));
  if (x0 >= 0 && last < p->in_w) return (const int8_t* const*)w->taps;
  if (pixels > 1)
    ft_mve_copy_taps(p, x, at, pixels, w);
  else
    ft_mve_mask_taps(p, x0, w);
  return w->edge;
}

#endif /* FT_KERNELS_DEPTHWISE_CONV2D_HELIUM_WALK_H_ */
