/* The last step of one output of an int8 convolution, for rows of
 * microcontrollers: with what an adapter adds, by the arithmetic of the C99
 * row.
 */
#ifndef FT_KERNELS_CONV2D_DEVICE_FINISH_H_
#define FT_KERNELS_CONV2D_DEVICE_FINISH_H_

#include "kernels/conv2d/conv_params.h"
#include "kernels/quant/fixed_point.h"
#include "kernels/quant/low_rank.h"
#include "kernels/quant/s8_device.h"

typedef struct {
  const ft_conv_params* p;
  const ft_device_channels* channels;
  const void* w; /* packed */
  const float *h, *lora_b, *inv_acc_scale;
} ft_device_conv;

/* aux: packed weights, ft_device_channels, inv_acc_scale (with a side only). */
static inline ft_device_conv ft_device_conv_of(const ft_conv_params* p,
                                               const ft_args* args) {
  ft_device_conv l;
  l.p = p;
  l.w = args->aux[0];
  l.channels = (const ft_device_channels*)args->aux[1];
  l.h = (const float*)args->in[3];
  l.lora_b = (const float*)args->in[4];
  l.inv_acc_scale = p->rank > 0 ? (const float*)args->aux[2] : 0;
  return l;
}

/* The formula of a plain layer (quant/s8_device.h). */
static inline int32_t ft_device_plain(int32_t sum, const ft_device_channel* c) {
  const int32_t high =
      ft_rounding_doubling_high_mul(ft_add_wrap(sum, c->init), c->multiplier);
  return (high + (high >> 31) + c->offset) >> c->right;
}

/* The output of channel co with a side of `rank` values at h. */
static inline __attribute__((always_inline)) int8_t ft_device_side_finish(
    const ft_device_conv* l, const float* h, int32_t rank, int32_t co,
    int32_t sum) {
  const ft_conv_params* p = l->p;
  const ft_device_channel* c = ft_channel_list(l->channels) + co;
  const float side =
      l->inv_acc_scale[co] *
      ft_low_rank_dot(h, l->lora_b + co * rank, rank, p->lora_scaling);
  int32_t acc = ft_add_wrap(sum, c->init);
  acc = ft_add_wrap(acc, ft_round_to_acc(side));
  acc = ft_requantize(acc, c->multiplier, -c->right) + p->y_zero_point;
  return (int8_t)ft_clamp_i32(acc, p->q_low, p->q_high);
}

static inline int8_t ft_device_conv_finish(const ft_device_conv* l,
                                           int32_t pixel, int32_t co,
                                           int32_t sum) {
  const ft_conv_params* p = l->p;
  const ft_device_channel* c = ft_channel_list(l->channels) + co;
  int32_t acc;
  if (p->rank > 0)
    return ft_device_side_finish(l, l->h + pixel * p->rank, p->rank, co, sum);
  if (l->channels->is_plain)
    return (int8_t)ft_clamp_i32(ft_device_plain(sum, c), p->q_low, p->q_high);
  acc = ft_requantize(ft_add_wrap(sum, c->init), c->multiplier, -c->right);
  return (int8_t)ft_clamp_i32(acc + p->y_zero_point, p->q_low, p->q_high);
}

#endif /* FT_KERNELS_CONV2D_DEVICE_FINISH_H_ */
