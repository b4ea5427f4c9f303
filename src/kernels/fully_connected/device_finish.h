/* The last step of one output of an int8 fully connected layer, for rows of
 * microcontrollers: with what an adapter adds, by the arithmetic of the C99
 * row. aux: packed weights, ft_device_channels, inv_acc_scale (with a side
 * only). */
#ifndef FT_KERNELS_FULLY_CONNECTED_DEVICE_FINISH_H_
#define FT_KERNELS_FULLY_CONNECTED_DEVICE_FINISH_H_

#include "kernels/fully_connected/fully_connected.h"
#include "kernels/quant/fixed_point.h"
#include "kernels/quant/low_rank.h"
#include "kernels/quant/s8_device.h"

/* ft_requantize_once() by the upper half of the product: from `right` 2 on,
 * half of the last unit lies there, and the lower half matters only at a tie
 * below 0. */
static inline int32_t ft_device_requantize_once(int32_t acc,
                                                const ft_device_channel* c) {
  const int64_t product = (int64_t)acc * c->multiplier;
  int32_t high = (int32_t)(product >> 32);
  if (c->right < 2) return ft_requantize_once(acc, c->multiplier, -c->right);
  if (high < 0 && (uint32_t)product == 0) --high;
  return (high + (1 << (c->right - 2))) >> (c->right - 1);
}

static inline int8_t ft_device_fc_finish(const ft_fully_connected_params* p,
                                         const ft_args* args, int32_t row,
                                         int32_t j, int32_t sum) {
  const ft_device_channel* c =
      ft_channel_list((const ft_device_channels*)args->aux[1]) + j;
  int32_t acc = ft_add_wrap(sum, c->init);
  if (p->rank > 0) {
    const float* h = (const float*)args->in[3] + row * p->rank;
    const float* b = (const float*)args->in[4] + j * p->rank;
    const float side = ((const float*)args->aux[2])[j] *
                       ft_low_rank_dot(h, b, p->rank, p->lora_scaling);
    acc = ft_add_wrap(acc, ft_round_to_acc(side));
  }
  acc = ft_device_requantize_once(acc, c) + p->y_zero_point;
  return (int8_t)ft_clamp_i32(acc, p->q_low, p->q_high);
}

#endif /* FT_KERNELS_FULLY_CONNECTED_DEVICE_FINISH_H_ */
