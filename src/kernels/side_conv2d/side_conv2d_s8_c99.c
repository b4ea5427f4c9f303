#include "kernels/conv2d/dot_s8.h"
#include "kernels/quant/fixed_point.h"
#include "kernels/quant/low_rank.h"
#include "kernels/side_conv2d/side_conv2d.h"

static int16_t scaled(int32_t sum, int32_t factor) {
  const int64_t product = (int64_t)sum * factor;
  const int64_t h = (product + ((int64_t)1 << 31)) >> 32;
  return (int16_t)ft_clamp_i32((int32_t)h, INT16_MIN, INT16_MAX);
}

static int32_t side_of(const int16_t* b, const int16_t* h, int32_t rank) {
  int32_t sum = 0, i;
  for (i = 0; i < rank; ++i) sum = ft_add_wrap(sum, b[i] * h[i]);
  return sum >> FT_SIDE_BITS;
}

void ft_side_conv2d_s8_c99(const void* params, const ft_args* args) {
  const ft_side_conv2d_params* side = (const ft_side_conv2d_params*)params;
  const ft_conv_params* p = &side->conv;
  const int8_t* x = (const int8_t*)args->in[0];
  const int8_t* w = (const int8_t*)args->in[1];
  const int32_t* bias = (const int32_t*)args->in[2];
  const int8_t* a = (const int8_t*)args->in[3];
  const int32_t* a_factor = (const int32_t*)args->in[4];
  const int16_t* b = (const int16_t*)args->in[5];
  const int32_t* multiplier = (const int32_t*)args->aux[0];
  const int32_t* shift = (const int32_t*)args->aux[1];
  int16_t* h = (int16_t*)args->scratch;
  int8_t* y = (int8_t*)args->out[0];
  const int32_t pixels = ft_num_pixels(p);
  int32_t pixel, c, i;
  for (pixel = 0; pixel < pixels; ++pixel) {
    const ft_window win = ft_window_of(p, pixel);
    for (i = 0; i < p->rank; ++i)
      h[i] = scaled(ft_dot_s8_at(p, &win, x, a + i * ft_side_row(p), 0),
                    a_factor[i]);
    for (c = 0; c < p->out_c; ++c) {
      int32_t acc = ft_dot_s8_at(p, &win, x, w, c);
      if (bias) acc = ft_add_wrap(acc, bias[c]);
      acc = ft_add_wrap(acc, side_of(b + c * p->rank, h, p->rank));
      acc = side->round_once ? ft_requantize_once(acc, multiplier[c], shift[c])
                             : ft_requantize(acc, multiplier[c], shift[c]);
      *y++ = (int8_t)ft_clamp_i32(acc + p->y_zero_point, p->q_low, p->q_high);
    }
  }
}
