/* Float outputs of an int8 image, four output channels at a time: what feeds an
 * adapter's low-rank side. The sums of conv2d_s8f32_c99.c in its order; a pixel
 * is made a float once for four of them.
 *
 * For one group without bias, side, gain and activation. */
#include "kernels/conv2d/conv2d.h"

typedef struct {
  float v[4];
} four_sums;

/* Adds `run` products of channels whose weights lie `size` apart. */
static inline void add_run(const int8_t* x, const float* w, int32_t run,
                           int32_t size, int32_t zero, four_sums* s) {
  const float *w0 = w, *w1 = w0 + size, *w2 = w1 + size, *w3 = w2 + size;
  const int8_t* end = x + run;
  float s0 = s->v[0], s1 = s->v[1], s2 = s->v[2], s3 = s->v[3];
  while (x != end) {
    const float real = (float)(*x++ - zero);
    s0 += real * *w0++;
    s1 += real * *w1++;
    s2 += real * *w2++;
    s3 += real * *w3++;
  }
  s->v[0] = s0;
  s->v[1] = s1;
  s->v[2] = s2;
  s->v[3] = s3;
}

static four_sums sums_at(const ft_conv_params* p, const ft_window* win,
                         const int8_t* x, const float* w) {
  const int32_t step = ft_run_columns(p, win), size = p->k_h * p->k_w * p->in_c;
  four_sums s = {{0, 0, 0, 0}};
  int32_t ky, kx;
  for (ky = win->ky_begin; ky < win->ky_end; ++ky)
    for (kx = win->kx_begin; kx < win->kx_end; kx += step)
      add_run(x + ft_x_index(p, win, ky, kx), w + (ky * p->k_w + kx) * p->in_c,
              step * p->in_c, size, p->x_zero_point, &s);
  return s;
}

void ft_conv2d_s8f32_armdsp(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  const float* w = (const float*)args->in[1];
  const ft_part part = ft_part_of(args, ft_num_pixels(p));
  const int32_t size = p->k_h * p->k_w * p->in_c;
  float* y = (float*)args->out[0] + part.first * p->out_c;
  ft_cursor at = ft_cursor_at(p, part.first);
  int32_t pixel, co, i;
  for (pixel = part.first; pixel < part.end; ++pixel, ft_cursor_next(p, &at)) {
    const ft_window win = ft_cursor_window(p, &at);
    for (co = 0; co < p->out_c; co += 4) {
      const four_sums s = sums_at(p, &win, x, w + co * size);
      for (i = 0; i < 4; ++i) *y++ = s.v[i] * p->x_scale;
    }
  }
}
