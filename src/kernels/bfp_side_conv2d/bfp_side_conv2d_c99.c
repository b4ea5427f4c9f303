#include "kernels/bfp/bfp.h"
#include "kernels/bfp_side_conv2d/bfp_side_conv2d.h"
#include "kernels/conv2d/dot_s8.h"
#include "kernels/quant/fixed_point.h"

typedef struct {
  const int16_t *h, *b;
  int32_t exponent; /* of a product h b */
  const int32_t *multiplier, *unit;
} side;

static int32_t side_at(const side* s, int32_t rank, int32_t pixel, int32_t co) {
  const int16_t *h = s->h + pixel * rank, *b = s->b + co * rank;
  int64_t sum = 0;
  int32_t i;
  for (i = 0; i < rank; ++i) sum += h[i] * b[i];
  return ft_bfp_scale(sum, s->multiplier[co],
                      ft_clamp_exponent((int64_t)s->exponent + s->unit[co]));
}

static int32_t add_wrap(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)a + (uint32_t)b);
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
  int32_t pixel, co;
  side s = {NULL, NULL, 0, NULL, NULL};
  if (p->rank > 0) { /* else there are no such buffers */
    s.h = (const int16_t*)args->in[3];
    s.b = (const int16_t*)args->in[5];
    s.multiplier = (const int32_t*)args->aux[2];
    s.unit = (const int32_t*)args->aux[3];
    s.exponent = ft_clamp_exponent((int64_t) * (const int32_t*)args->in[4] +
                                   *(const int32_t*)args->in[6]);
  }
  for (pixel = 0; pixel < pixels; ++pixel) {
    const ft_window win = ft_window_of(p, pixel);
    for (co = 0; co < p->out_c; ++co) {
      int32_t acc = ft_dot_s8_at(p, &win, x, w, co);
      if (bias) acc = add_wrap(acc, bias[co]);
      if (p->rank > 0) acc = add_wrap(acc, side_at(&s, p->rank, pixel, co));
      acc = all->round_once ? ft_requantize_once(acc, multiplier[co], shift[co])
                            : ft_requantize(acc, multiplier[co], shift[co]);
      *y++ = (int8_t)ft_clamp_i32(acc + p->y_zero_point, p->q_low, p->q_high);
    }
  }
}
