/* int8 depthwise convolution with a float difference of its weights, one output
 * channel for each input channel, four at a time.
 *
 * aux: weights [k_h * k_w, out_c], ft_device_channels, inv_w_scale [out_c].
 * in[3]: w_delta. scratch: pointers to the taps, a row of zero points, for
 * which the difference adds 0. */
#include <arm_mve.h>

#include "kernels/depthwise_conv2d/depthwise_conv2d.h"
#include "kernels/depthwise_conv2d/tap_rows.h"
#include "kernels/quant/s8_helium.h"

typedef struct {
  int32x4_t acc;
  float32x4_t side;
} sums;

/* Of channels c .. c + 3. */
static inline sums sum_taps(const ft_conv_params* p, const int8_t* const* taps,
                            const int8_t* w, const float* delta, int32_t c) {
  const int8_t* const* end = taps + p->k_h * p->k_w;
  const int32_t zero = p->x_zero_point;
  sums s = {vdupq_n_s32(0), vdupq_n_f32(0)};
  for (w += c, delta += c; taps != end; ++taps) {
    const int32x4_t x = vldrbq_s32(*taps + c);
    const float32x4_t real = vcvtq_f32_s32(vsubq_n_s32(x, zero));
    s.acc = vaddq_s32(s.acc, vmulq_s32(x, vldrbq_s32(w)));
    s.side = vaddq_f32(s.side, vmulq_f32(real, vld1q_f32(delta)));
    w += p->out_c;
    delta += p->out_c;
  }
  return s;
}

static void one_pixel(const ft_conv_params* p, const ft_args* args,
                      const int8_t* const* taps, int8_t* y) {
  const int32x4_t low = vdupq_n_s32(p->q_low), high = vdupq_n_s32(p->q_high);
  const ft_device_channel* channel =
      ft_channel_list((const ft_device_channels*)args->aux[1]);
  const float* inv_w_scale = (const float*)args->aux[2];
  int32_t c;
  for (c = 0; c < p->out_c; c += 4) {
    /* init, multiplier, offset, right */
    const int32x4x4_t k = vld4q_s32((const int32_t*)(const void*)(channel + c));
    const sums s = sum_taps(p, taps, (const int8_t*)args->aux[0],
                            (const float*)args->in[3], c);
    int32x4_t v =
        ft_mve_round_to_acc(vmulq_f32(s.side, vld1q_f32(inv_w_scale + c)));
    v = vaddq_s32(v, vaddq_s32(s.acc, k.val[0]));
    v = vaddq_n_s32(ft_mve_requantize(v, k.val[1], k.val[3]), p->y_zero_point);
    vstrbq_s32(y + c, vminq_s32(vmaxq_s32(v, low), high));
  }
}

#define FT_FN ft_depthwise_conv2d_side_s8_helium
#include "kernels/depthwise_conv2d/each_pixel-inl.h"
