#include "kernels/broadcast_to/broadcast_to.h"
#include "kernels/real.h"

void FT_NAME(broadcast_to)(const void* params, const ft_args* args) {
  const ft_broadcast_to_params* p = (const ft_broadcast_to_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  ft_real* y = (ft_real*)args->out[0];
  const int32_t rows = ft_num_rows(&p->pair), last = p->pair.rank - 1;
  const int32_t n = p->pair.dims[last], step = p->pair.a_stride[last];
  ft_row row = {{0}, 0, 0};
  int32_t r, i;
  for (r = 0; r < rows; ++r, y += n) {
    for (i = 0; i < n; ++i) y[i] = p->scale * x[row.a + i * step];
    ft_next_row(&p->pair, &row);
  }
}
