#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/dot_s8.h"
#include "kernels/quant/fixed_point.h"
#include "kernels/quant/low_rank.h"

void ft_conv2d_s8_c99(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  const int8_t* w = (const int8_t*)args->in[1];
  const int32_t* bias = (const int32_t*)args->in[2];
  const float* h = (const float*)args->in[3];
  const float* lora_b = (const float*)args->in[4];
  const float* gain = (const float*)args->in[5];
  const int bias_inside = !gain || p->gain_bias;
  const int32_t* multiplier = (const int32_t*)args->aux[0];
  const int32_t* shift = (const int32_t*)args->aux[1];
  const float* inv_acc_scale = (const float*)args->aux[2];
  const ft_part part = ft_part_of(args, ft_num_pixels(p));
  int8_t* y = (int8_t*)args->out[0] + part.first * p->out_c;
  int32_t pixel, co;
  for (pixel = part.first; pixel < part.end; ++pixel) {
    const ft_window win = ft_window_of(p, pixel);
    for (co = 0; co < p->out_c; ++co) {
      int32_t acc = ft_dot_s8_at(p, &win, x, w, co);
      if (bias && bias_inside) acc = ft_add_wrap(acc, bias[co]);
      if (p->rank > 0 || gain) {
        float side = 0;
        if (p->rank > 0)
          side = inv_acc_scale[co] * ft_low_rank_dot(h + pixel * p->rank,
                                                     lora_b + co * p->rank,
                                                     p->rank, p->lora_scaling);
        if (gain) side = ft_gain_difference(gain[co], acc, side);
        acc = ft_add_wrap(acc, ft_round_to_acc(side));
      }
      if (bias && !bias_inside) acc = ft_add_wrap(acc, bias[co]);
      acc = ft_requantize(acc, multiplier[co], shift[co]) + p->y_zero_point;
      *y++ = (int8_t)ft_clamp_i32(acc, p->q_low, p->q_high);
    }
  }
}
