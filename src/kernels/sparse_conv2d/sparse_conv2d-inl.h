/* Loops over x. The includer defines FT_FORWARD and FT_VALUES_GRAD (symbols),
 * FT_X (element type of x) and FT_X_AT(v) (x minus its zero point, as
 * ft_real). */
#include "kernels/real.h"
#include "kernels/sparse_conv2d/sparse_conv2d.h"

void FT_FORWARD(const void* params, const ft_args* args) {
  const ft_sparse_conv2d_params* s = (const ft_sparse_conv2d_params*)params;
  const ft_conv_params* p = &s->conv;
  const FT_X* x = (const FT_X*)args->in[0];
  const ft_real* values = (const ft_real*)args->in[1];
  const int32_t* places = (const int32_t*)args->in[2];
  const int32_t count = ft_num_pixels(p) * p->out_c;
  ft_real* y = (ft_real*)args->out[0];
  int32_t n, i, oy, ox;
  for (i = 0; i < count; ++i) y[i] = 0;
  for (i = 0; i < s->entries; ++i) {
    const ft_sparse_entry e = ft_sparse_entry_at(p, places + 2 * i);
    for (n = 0; n < p->batch; ++n) {
      for (oy = e.y_begin; oy < e.y_end; ++oy) {
        const FT_X* from = x + ft_sparse_x(p, &e, n, oy);
        ft_real* to = y + ft_sparse_y(p, &e, n, oy);
        for (ox = e.x_begin; ox < e.x_end; ++ox)
          to[ox * p->out_c] +=
              values[i] * FT_X_AT(from[ft_sparse_column(p, &e, ox)]);
      }
    }
  }
  for (i = 0; i < count; ++i) y[i] *= (ft_real)p->x_scale;
}

void FT_VALUES_GRAD(const void* params, const ft_args* args) {
  const ft_sparse_conv2d_params* s = (const ft_sparse_conv2d_params*)params;
  const ft_conv_params* p = &s->conv;
  const FT_X* x = (const FT_X*)args->in[0];
  const ft_real* dy = (const ft_real*)args->in[1];
  const int32_t* places = (const int32_t*)args->in[2];
  ft_real* dvalues = (ft_real*)args->out[0];
  int32_t n, i, oy, ox;
  for (i = 0; i < s->entries; ++i) {
    const ft_sparse_entry e = ft_sparse_entry_at(p, places + 2 * i);
    ft_real sum = 0;
    for (n = 0; n < p->batch; ++n) {
      for (oy = e.y_begin; oy < e.y_end; ++oy) {
        const FT_X* xs = x + ft_sparse_x(p, &e, n, oy);
        const ft_real* ds = dy + ft_sparse_y(p, &e, n, oy);
        for (ox = e.x_begin; ox < e.x_end; ++ox)
          sum += ds[ox * p->out_c] * FT_X_AT(xs[ft_sparse_column(p, &e, ox)]);
      }
    }
    dvalues[i] = sum * (ft_real)p->x_scale;
  }
}
