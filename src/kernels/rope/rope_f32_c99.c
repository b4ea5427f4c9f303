#include "kernels/real.h"
#include "kernels/rope/rope.h"

/* One head; table holds the (cosine, sine) of its position. */
static void turn_head(const ft_rope_params* p, const ft_real* x,
                      const float* table, ft_real* y) {
  const int32_t pairs = p->head_dim / 2;
  const int32_t step = p->half ? 1 : 2, partner = p->half ? pairs : 1;
  int32_t i;
  for (i = 0; i < pairs; ++i, x += step, y += step) {
    const ft_real c = (ft_real)table[2 * i];
    const ft_real s =
        p->inverse ? -(ft_real)table[2 * i + 1] : (ft_real)table[2 * i + 1];
    const ft_real a = x[0], b = x[partner];
    y[0] = a * c - b * s;
    y[partner] = a * s + b * c;
  }
}

void FT_NAME(rope)(const void* params, const ft_args* args) {
  const ft_rope_params* p = (const ft_rope_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  const float* table = (const float*)args->aux[0];
  ft_real* y = (ft_real*)args->out[0];
  int32_t row, h;
  for (row = 0; row < p->rows; ++row)
    for (h = 0; h < p->heads; ++h, x += p->head_dim, y += p->head_dim)
      turn_head(p, x, table + (size_t)(row % p->seq_len) * (size_t)p->head_dim,
                y);
}
