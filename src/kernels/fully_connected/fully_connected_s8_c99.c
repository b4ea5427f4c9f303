#include "kernels/fully_connected/fully_connected.h"
#include "kernels/quant/fixed_point.h"
#include "kernels/quant/low_rank.h"

void ft_fully_connected_s8_c99(const void* params, const ft_args* args) {
  const ft_fully_connected_params* p = (const ft_fully_connected_params*)params;
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
  const int32_t zero_point = p->x_zero_point;
  int8_t* y = (int8_t*)args->out[0];
  int32_t row, j, l;
  for (row = 0; row < p->rows; ++row) {
    const int8_t* xs = x + row * p->k;
    for (j = 0; j < p->n; ++j) {
      const int8_t* ws = w + j * p->k;
      int32_t acc = 0;
      for (l = 0; l < p->k; ++l) acc += (xs[l] - zero_point) * ws[l];
      if (bias && bias_inside) acc = ft_add_wrap(acc, bias[j]);
      if (p->rank > 0 || gain) {
        float side = 0;
        if (p->rank > 0)
          side = inv_acc_scale[j] * ft_low_rank_dot(h + row * p->rank,
                                                    lora_b + j * p->rank,
                                                    p->rank, p->lora_scaling);
        if (gain) side = ft_gain_difference(gain[j], acc, side);
        acc = ft_add_wrap(acc, ft_round_to_acc(side));
      }
      if (bias && !bias_inside) acc = ft_add_wrap(acc, bias[j]);
      acc = ft_requantize_once(acc, multiplier[j], shift[j]) + p->y_zero_point;
      *y++ = (int8_t)ft_clamp_i32(acc, p->q_low, p->q_high);
    }
  }
}
