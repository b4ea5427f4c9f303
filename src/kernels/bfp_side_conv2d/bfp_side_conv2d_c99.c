#include "kernels/bfp/side.h"
#include "kernels/bfp_side_conv2d/bfp_side_conv2d.h"
#include "kernels/conv2d/dot_s8.h"
#include "kernels/quant/fixed_point.h"

static ft_bfp_side side_of(const ft_conv_params* p, const ft_args* args) {
  ft_bfp_side s = ft_bfp_no_side();
  if (p->rank == 0) return s; /* there are no such buffers */
  s.rank = p->rank;
  s.h = (const int16_t*)args->in[3];
  s.b = (const int16_t*)args->in[5];
  s.multiplier = (const int32_t*)args->aux[2];
  s.unit = (const int32_t*)args->aux[3];
  s.exponent = ft_clamp_exponent((int64_t) * (const int32_t*)args->in[4] +
                                 *(const int32_t*)args->in[6]);
  return s;
}

void ft_bfp_side_conv2d_c99(const void* params, const ft_args* args) {
  const ft_bfp_side_conv2d_params* all =
      (const ft_bfp_side_conv2d_params*)params;
  const ft_conv_params* p = &all->conv;
  const int8_t* x = (const int8_t*)args->in[0];
  const int8_t* w = (const int8_t*)args->in[1];
  const int32_t* bias = (const int32_t*)args->in[2];
  const int32_t* multiplier = (const int32_t*)args->aux[0];
  const int32_t* shift = (const int32_t*)args->aux[1];
  int8_t* y = (int8_t*)args->out[0];
  const int32_t pixels = ft_num_pixels(p);
  const ft_bfp_side s = side_of(p, args);
  const ft_bfp_gain gain = ft_bfp_gain_of(
      args->in[7], args->in[8], all->gain_multiplier, all->gain_exponent);
  const int bias_inside = !gain.mantissas || p->gain_bias;
  int32_t pixel, co;
  for (pixel = 0; pixel < pixels; ++pixel) {
    const ft_window win = ft_window_of(p, pixel);
    for (co = 0; co < p->out_c; ++co) {
      int32_t acc = ft_dot_s8_at(p, &win, x, w, co);
      if (bias && bias_inside) acc = ft_bfp_add_wrap(acc, bias[co]);
      if (s.rank > 0) acc = ft_bfp_add_wrap(acc, ft_bfp_side_at(&s, pixel, co));
      acc = ft_bfp_gained(&gain, acc, co);
      if (bias && !bias_inside) acc = ft_bfp_add_wrap(acc, bias[co]);
      acc = all->round_once ? ft_requantize_once(acc, multiplier[co], shift[co])
                            : ft_requantize(acc, multiplier[co], shift[co]);
      *y++ = (int8_t)ft_clamp_i32(acc + p->y_zero_point, p->q_low, p->q_high);
    }
  }
}
