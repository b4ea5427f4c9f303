#include "kernels/bfp/side.h"
#include "kernels/bfp/window.h"
#include "kernels/bfp_side_conv2d/bfp_side_conv2d.h"
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

typedef struct {
  const int8_t* w;
  const int32_t *bias, *multiplier, *shift;
  ft_bfp_side side;
  ft_bfp_gain gain;
  int32_t size; /* of a window */
  int32_t bias_inside, round_once, y_zero_point, q_low, q_high;
} layer;

static layer layer_of(const ft_bfp_side_conv2d_params* all,
                      const ft_args* args) {
  const ft_conv_params* p = &all->conv;
  layer l;
  l.w = (const int8_t*)args->in[1];
  l.bias = (const int32_t*)args->in[2];
  l.multiplier = (const int32_t*)args->aux[0];
  l.shift = (const int32_t*)args->aux[1];
  l.side = side_of(p, args);
  l.gain = ft_bfp_gain_of(args->in[7], args->in[8], all->gain_multiplier,
                          all->gain_exponent);
  l.size = ft_window_size(p);
  l.bias_inside = !l.gain.mantissas || p->gain_bias;
  l.round_once = all->round_once;
  l.y_zero_point = p->y_zero_point;
  l.q_low = p->q_low;
  l.q_high = p->q_high;
  return l;
}

static int8_t output_at(const layer* l, const int16_t* window, int32_t pixel,
                        int32_t co) {
  int32_t acc = ft_dot_s16s8(window, l->w + co * l->size, l->size);
  if (l->bias && l->bias_inside) acc = ft_bfp_add_wrap(acc, l->bias[co]);
  if (l->side.rank > 0)
    acc = ft_bfp_add_wrap(acc, ft_bfp_side_at(&l->side, pixel, co));
  acc = ft_bfp_gained(&l->gain, acc, co);
  if (l->bias && !l->bias_inside) acc = ft_bfp_add_wrap(acc, l->bias[co]);
  acc = l->round_once ? ft_requantize_once(acc, l->multiplier[co], l->shift[co])
                      : ft_requantize(acc, l->multiplier[co], l->shift[co]);
  return (int8_t)ft_clamp_i32(acc + l->y_zero_point, l->q_low, l->q_high);
}

void ft_bfp_side_conv2d_c99(const void* params, const ft_args* args) {
  const ft_bfp_side_conv2d_params* all =
      (const ft_bfp_side_conv2d_params*)params;
  const ft_conv_params p = all->conv;
  const layer l = layer_of(all, args); /* a copy that y cannot alias */
  const int8_t* x = (const int8_t*)args->in[0];
  int16_t* window = (int16_t*)args->scratch;
  int8_t* y = (int8_t*)args->out[0];
  const int32_t pixels = ft_num_pixels(&p);
  const int32_t out_per_group = p.out_c / p.groups;
  ft_cursor at = ft_cursor_at(&p, 0);
  int32_t pixel, group, co;
  for (pixel = 0; pixel < pixels; ++pixel, ft_cursor_next(&p, &at)) {
    const ft_window win = ft_cursor_window(&p, &at);
    for (group = 0; group < p.groups; ++group) {
      const int32_t first = group * out_per_group;
      ft_gather_window_s8(&p, &win, x, group, window);
      for (co = first; co < first + out_per_group; ++co)
        *y++ = output_at(&l, window, pixel, co);
    }
  }
}
