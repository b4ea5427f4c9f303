#include "kernels/real.h"
#include "kernels/sparse_conv2d/sparse_conv2d.h"

void FT_NAME(sparse_conv2d_input_grad)(const void* params,
                                       const ft_args* args) {
  const ft_sparse_conv2d_params* s = (const ft_sparse_conv2d_params*)params;
  const ft_conv_params* p = &s->conv;
  const ft_real* dy = (const ft_real*)args->in[0];
  const ft_real* values = (const ft_real*)args->in[1];
  const int32_t* places = (const int32_t*)args->in[2];
  const int32_t count = p->batch * p->in_h * p->in_w * p->in_c;
  ft_real* dx = (ft_real*)args->out[0];
  int32_t n, i, oy, ox;
  for (i = 0; i < count; ++i) dx[i] = 0;
  for (i = 0; i < s->entries; ++i) {
    const ft_sparse_entry e = ft_sparse_entry_at(p, places + 2 * i);
    for (n = 0; n < p->batch; ++n) {
      for (oy = e.y_begin; oy < e.y_end; ++oy) {
        const ft_real* from = dy + ft_sparse_y(p, &e, n, oy);
        ft_real* to = dx + ft_sparse_x(p, &e, n, oy);
        for (ox = e.x_begin; ox < e.x_end; ++ox)
          to[ft_sparse_column(p, &e, ox)] += values[i] * from[ox * p->out_c];
      }
    }
  }
}
