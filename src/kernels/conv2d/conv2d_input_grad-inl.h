/* Scatters dy through w. The includer defines FT_FN, FT_W (element type of w),
 * FT_W_SCALES(args) (their scales, or NULL) and FT_W_SCALE(co) (that factor of
 * one output channel). */
#include "kernels/conv2d/conv2d.h"
#include "kernels/real.h"

/* Output channels that are added in one pass, one after the other. */
enum { CHANNELS = 4 };

static void add_channels(const ft_real* g, const FT_W* FT_RESTRICT w,
                         int32_t step, int32_t count, ft_real* FT_RESTRICT x) {
  const FT_W* FT_RESTRICT w1 = w + step;
  const FT_W* FT_RESTRICT w2 = w1 + step;
  const FT_W* FT_RESTRICT w3 = w2 + step;
  const ft_real g0 = g[0], g1 = g[1], g2 = g[2], g3 = g[3];
  int32_t i;
  for (i = 0; i < count; ++i) {
    ft_real sum = x[i];
    sum += g0 * (ft_real)w[i];
    sum += g1 * (ft_real)w1[i];
    sum += g2 * (ft_real)w2[i];
    sum += g3 * (ft_real)w3[i];
    x[i] = sum;
  }
}

static void add_channel(ft_real g, const FT_W* FT_RESTRICT w, int32_t count,
                        ft_real* FT_RESTRICT x) {
  int32_t i;
  for (i = 0; i < count; ++i) x[i] += g * (ft_real)w[i];
}

/* dx of one kernel element, at `at`, += dy of one pixel; w: its weights. */
static void scatter_channels(const ft_conv_params* p, const ft_real* dy,
                             const FT_W* w, const float* w_scale, ft_real* at) {
  const int32_t in_per_group = p->in_c / p->groups;
  const int32_t out_per_group = p->out_c / p->groups;
  const int32_t step = p->k_h * p->k_w * in_per_group;
  ft_real g[CHANNELS];
  int32_t group, co, i;
  (void)w_scale;
  for (group = 0; group < p->groups; ++group, at += in_per_group) {
    const int32_t first = group * out_per_group, end = first + out_per_group;
    for (co = first; co + CHANNELS <= end; co += CHANNELS) {
      for (i = 0; i < CHANNELS; ++i) g[i] = dy[co + i] * FT_W_SCALE(co + i);
      add_channels(g, w + co * step, step, in_per_group, at);
    }
    for (; co < end; ++co)
      add_channel(dy[co] * FT_W_SCALE(co), w + co * step, in_per_group, at);
  }
}

static void scatter_pixel(const ft_conv_params* p, const ft_window* win,
                          const ft_real* dy, const FT_W* w,
                          const float* w_scale, ft_real* dx) {
  const int32_t in_per_group = p->in_c / p->groups;
  int32_t ky, kx;
  for (ky = win->ky_begin; ky < win->ky_end; ++ky)
    for (kx = win->kx_begin; kx < win->kx_end; ++kx)
      scatter_channels(p, dy, w + (ky * p->k_w + kx) * in_per_group, w_scale,
                       dx + ft_x_index(p, win, ky, kx));
}

void FT_FN(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const ft_real* dy = (const ft_real*)args->in[0];
  const FT_W* w = (const FT_W*)args->in[1];
  const float* w_scale = FT_W_SCALES(args);
  ft_real* dx = (ft_real*)args->out[0];
  const ft_part part = ft_part_of(args, ft_num_pixels(p));
  const int32_t count = p->batch * p->in_h * p->in_w * p->in_c;
  int32_t i;
  if (part.first == 0)
    for (i = 0; i < count; ++i) dx[i] = 0;
  for (i = part.first; i < part.end; ++i) {
    const ft_window win = ft_window_of(p, i);
    scatter_pixel(p, &win, dy + (ptrdiff_t)i * p->out_c, w, w_scale, dx);
  }
}
