#include "kernels/matmul/matmul.h"
#include "kernels/quant/fixed_point.h"

void ft_matmul_s8_c99(const void* params, const ft_args* args) {
  const ft_matmul_params* p = (const ft_matmul_params*)params;
  const int32_t a_row = p->trans_a ? 1 : p->k, a_col = p->trans_a ? p->m : 1;
  const int32_t b_row = p->trans_b ? 1 : p->n, b_col = p->trans_b ? p->k : 1;
  const int32_t a_zero = p->a_zero_point, b_zero = p->b_zero_point;
  const int8_t* a = (const int8_t*)args->in[0];
  const int8_t* b = (const int8_t*)args->in[1];
  int8_t* c = (int8_t*)args->out[0];
  int32_t t, i, j, l;
  for (t = 0; t < p->batch; ++t) {
    for (i = 0; i < p->m; ++i) {
      for (j = 0; j < p->n; ++j) {
        int32_t acc = 0;
        for (l = 0; l < p->k; ++l)
          acc += (a[i * a_row + l * a_col] - a_zero) *
                 (b[l * b_row + j * b_col] - b_zero);
        acc = ft_requantize(acc, p->multiplier, p->shift) + p->y_zero_point;
        c[i * p->n + j] = (int8_t)ft_clamp_i32(acc, -128, 127);
      }
    }
    a += (ptrdiff_t)p->m * p->k;
    if (!p->broadcast_b) b += (ptrdiff_t)p->k * p->n;
    c += (ptrdiff_t)p->m * p->n;
  }
}
