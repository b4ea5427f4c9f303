/* The weights of two output channels share a halfword, as the forward row reads
 * them (quant/s8_pairs.h), so that one copy in flash serves both. Up to four
 * channels are added in one pass over a pixel of dx, in the C99 row's order.
 *
 * One group; in_c is a multiple of 4. aux: the weights' scales as the C99 row
 * has them; weights in pairs. */
#include "kernels/conv2d/conv2d.h"

static inline float first_of(int32_t pair) { return (float)(int8_t)pair; }
/* A pair is 256 * second + first. */
static inline float second_of(int32_t pair) {
  return (float)((pair + 128) >> 8);
}

static inline float add_2(float x, int32_t pair, float g0, float g1) {
  x += g0 * first_of(pair);
  x += g1 * second_of(pair);
  return x;
}

static void add_four(const int16_t* FT_RESTRICT w, const int16_t* FT_RESTRICT v,
                     const float* g, int32_t count, float* FT_RESTRICT x) {
  const float g0 = g[0], g1 = g[1], g2 = g[2], g3 = g[3];
  const float* const end = x + count;
  for (; x != end; x += 4, w += 4, v += 4) {
    x[0] = add_2(add_2(x[0], w[0], g0, g1), v[0], g2, g3);
    x[2] = add_2(add_2(x[2], w[1], g0, g1), v[1], g2, g3);
    x[1] = add_2(add_2(x[1], w[2], g0, g1), v[2], g2, g3);
    x[3] = add_2(add_2(x[3], w[3], g0, g1), v[3], g2, g3);
  }
}

static void add_two(const int16_t* FT_RESTRICT w, const float* g, int32_t count,
                    float* FT_RESTRICT x) {
  const float g0 = g[0], g1 = g[1];
  const float* const end = x + count;
  for (; x != end; x += 4, w += 4) {
    x[0] = add_2(x[0], w[0], g0, g1);
    x[2] = add_2(x[2], w[1], g0, g1);
    x[1] = add_2(x[1], w[2], g0, g1);
    x[3] = add_2(x[3], w[3], g0, g1);
  }
}

/* The first of a pair alone: adding 0 would turn a sum of -0 into 0. */
static void add_one(const int16_t* FT_RESTRICT w, float g, int32_t count,
                    float* FT_RESTRICT x) {
  const float* const end = x + count;
  for (; x != end; x += 4, w += 4) {
    x[0] += g * first_of(w[0]);
    x[2] += g * first_of(w[1]);
    x[1] += g * first_of(w[2]);
    x[3] += g * first_of(w[3]);
  }
}

/* dx of one kernel element += dy of one pixel; `step`: from pair to pair. */
static void add_pixel(const ft_conv_params* p, const float* dy,
                      const float* scale, const int16_t* w, int32_t step,
                      float* dx) {
  int32_t co = 0, i;
  float g[4];
  for (; co + 4 <= p->out_c; co += 4, w += 2 * step) {
    for (i = 0; i < 4; ++i) g[i] = dy[co + i] * scale[co + i];
    add_four(w, w + step, g, p->in_c, dx);
  }
  if (co + 2 <= p->out_c) {
    for (i = 0; i < 2; ++i) g[i] = dy[co + i] * scale[co + i];
    add_two(w, g, p->in_c, dx);
    co += 2;
    w += step;
  }
  if (co < p->out_c) add_one(w, dy[co] * scale[co], p->in_c, dx);
}

void ft_conv2d_input_grad_f32s8_armdsp(const void* params,
                                       const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const ft_part part = ft_part_of(args, ft_num_pixels(p));
  const float* dy = (const float*)args->in[0] + part.first * p->out_c;
  const float* scale = (const float*)args->aux[0];
  const int16_t* w = (const int16_t*)args->aux[1];
  float* dx = (float*)args->out[0];
  const int32_t step = p->k_h * p->k_w * p->in_c;
  const int32_t count = p->batch * p->in_h * p->in_w * p->in_c;
  int32_t i, ky, kx;
  if (part.first == 0)
    for (i = 0; i < count; ++i) dx[i] = 0;
  for (i = part.first; i < part.end; ++i, dy += p->out_c) {
    const ft_window win = ft_window_of(p, i);
    for (ky = win.ky_begin; ky < win.ky_end; ++ky)
      for (kx = win.kx_begin; kx < win.kx_end; ++kx)
        add_pixel(p, dy, scale, w + (ky * p->k_w + kx) * p->in_c, step,
                  dx + ft_x_index(p, &win, ky, kx));
  }
}
