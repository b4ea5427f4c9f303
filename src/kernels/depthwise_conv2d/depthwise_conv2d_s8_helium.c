/* int8 depthwise convolution of a plain layer with one output channel for each
 * input channel, 16 channels at a time; no copy of the image.
 *
 * aux: weights [k_h * k_w, out_c], all above -128, ft_lane_block for each 16
 * channels. scratch: pointers to the taps, a row of zero points. */
#include <arm_mve.h>
#include <string.h>

#include "kernels/depthwise_conv2d/depthwise_conv2d.h"
#include "kernels/depthwise_conv2d/tap_rows.h"
#include "kernels/quant/s8_lanes.h"

typedef struct {
  int32x4_t v[4];
} lanes;

/* Adds sums of up to two products of bytes, which fit 16 bits as weights lie
 * above -128. */
static inline void add_widened(lanes* acc, int16x8_t even, int16x8_t odd) {
  acc->v[0] = vaddq_s32(acc->v[0], vmovlbq_s16(even));
  acc->v[2] = vaddq_s32(acc->v[2], vmovltq_s16(even));
  acc->v[1] = vaddq_s32(acc->v[1], vmovlbq_s16(odd));
  acc->v[3] = vaddq_s32(acc->v[3], vmovltq_s16(odd));
}

/* Lanes that are channels; predicated loads cost an instruction more. */
typedef struct {
  int are_all;
  mve_pred16_t live;
} lane_mask;

static inline int8x16_t load(const int8_t* at, lane_mask mask) {
  return mask.are_all ? vldrbq_s8(at) : vldrbq_z_s8(at, mask.live);
}

static inline lanes sum_taps(const int8_t* const* taps, int32_t count,
                             int32_t c, const int8_t* w, int32_t out_c,
                             lane_mask mask) {
  const int8_t* const* end = taps + count;
  lanes acc;
  acc.v[0] = acc.v[1] = acc.v[2] = acc.v[3] = vdupq_n_s32(0);
  if (count % 2) {
    const int8x16_t x = load(*taps++ + c, mask), k = load(w, mask);
    add_widened(&acc, vmullbq_int_s8(x, k), vmulltq_int_s8(x, k));
    w += out_c;
  }
  for (; taps != end; taps += 2, w += 2 * out_c) {
    const int8x16_t x0 = load(taps[0] + c, mask), k0 = load(w, mask);
    const int8x16_t x1 = load(taps[1] + c, mask);
    const int8x16_t k1 = load(w + out_c, mask);
    add_widened(&acc, vaddq_s16(vmullbq_int_s8(x0, k0), vmullbq_int_s8(x1, k1)),
                vaddq_s16(vmulltq_int_s8(x0, k0), vmulltq_int_s8(x1, k1)));
  }
  return acc;
}

static inline int32x4_t requantize(const ft_lane_block* b, int i,
                                   int32x4_t sum) {
  int32x4_t v = vaddq_s32(sum, vld1q_s32(b->init[i]));
  v = vqrdmulhq_s32(v, vld1q_s32(b->multiplier[i]));
  v = vaddq_s32(vaddq_s32(v, vshrq_n_s32(v, 31)), vld1q_s32(b->offset[i]));
  return vshlq_s32(v, vld1q_s32(b->left[i]));
}

/* Saturates to bytes, back in the order of the channels. */
static inline int8x16_t narrow(const ft_lane_block* b, const lanes* acc) {
  int16x8_t even = vdupq_n_s16(0), odd = vdupq_n_s16(0);
  int8x16_t y = vdupq_n_s8(0);
  even = vqmovnbq_s32(even, requantize(b, 0, acc->v[0]));
  even = vqmovntq_s32(even, requantize(b, 2, acc->v[2]));
  odd = vqmovnbq_s32(odd, requantize(b, 1, acc->v[1]));
  odd = vqmovntq_s32(odd, requantize(b, 3, acc->v[3]));
  y = vqmovnbq_s16(y, even);
  return vqmovntq_s16(y, odd);
}

/* The 16 channels from c on. */
static inline void one_block(const ft_conv_params* p, const int8_t* const* taps,
                             int32_t c, const int8_t* w,
                             const ft_lane_block* block, lane_mask mask,
                             int8_t* y) {
  const lanes acc = sum_taps(taps, p->k_h * p->k_w, c, w + c, p->out_c, mask);
  int8x16_t v = narrow(block, &acc);
  v = vmaxq_s8(v, vdupq_n_s8((int8_t)p->q_low));
  v = vminq_s8(v, vdupq_n_s8((int8_t)p->q_high));
  if (mask.are_all)
    vstrbq_s8(y + c, v);
  else
    vstrbq_p_s8(y + c, v, mask.live);
}

void ft_depthwise_conv2d_s8_helium(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  const int8_t* w = (const int8_t*)args->aux[0];
  int8_t* y = (int8_t*)args->out[0];
  const int32_t pixels = ft_num_pixels(p);
  const int8_t** taps = (const int8_t**)args->scratch;
  int8_t* outside = (int8_t*)(taps + p->k_h * p->k_w);
  ft_cursor at = ft_cursor_at(p, 0);
  int32_t pixel, c;
  memset(outside, p->x_zero_point, (size_t)p->in_c);
  for (pixel = 0; pixel < pixels; ++pixel) {
    const ft_lane_block* block = (const ft_lane_block*)args->aux[1];
    lane_mask mask = {1, 0xffff};
    ft_tap_rows(p, x, &at, outside, taps);
    for (c = 0; c + FT_LANES <= p->out_c; c += FT_LANES)
      one_block(p, taps, c, w, block++, mask, y);
    if (c < p->out_c) {
      mask.are_all = 0;
      mask.live = vctp8q((uint32_t)(p->out_c - c));
      one_block(p, taps, c, w, block, mask, y);
    }
    ft_cursor_next(p, &at);
    y += p->out_c;
  }
}
