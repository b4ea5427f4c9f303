/* Loops of a float output. The includer defines FT_FN (symbol), FT_A and FT_B
 * (element types), FT_SCALES(args) (aux or NULL), and as factors in ft_real
 * FT_A_AT(v, i, l) and FT_B_AT(v, l, j): element v of row i (column j) of c,
 * and index l along k. */
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/matmul_scale-inl.h"
#include "kernels/real.h"

/* One product each, k = 1: the gradient of a layer's weights at batch 1. */
static void outer_product(const ft_matmul_params* p, const FT_A* a,
                          const FT_B* b, const float* scale, ft_real* c) {
  const ft_real alpha = (ft_real)p->alpha;
  const int32_t n = p->n;
  int32_t i, j;
  (void)scale;
  for (i = 0; i < p->m; ++i, c += n) {
    const ft_real v = FT_A_AT(a[i], i, 0);
    for (j = 0; j < n; ++j) {
      const ft_real product = v * FT_B_AT(b[j], 0, j);
      c[j] = alpha * product;
    }
  }
}

void FT_FN(const void* params, const ft_args* args) {
  const ft_matmul_params* p = (const ft_matmul_params*)params;
  const int32_t a_row = p->trans_a ? 1 : p->k, a_col = p->trans_a ? p->m : 1;
  const int32_t b_row = p->trans_b ? 1 : p->n, b_col = p->trans_b ? p->k : 1;
  const FT_A* a = (const FT_A*)args->in[0];
  const FT_B* b = (const FT_B*)args->in[1];
  const float* scale = FT_SCALES(args);
  ft_real* c = (ft_real*)args->out[0];
  int32_t t, i, j, l;
  (void)scale;
  (void)scale_index;
  for (t = 0; t < p->batch; ++t) {
    if (p->k == 1) outer_product(p, a, b, scale, c);
    for (i = 0; p->k != 1 && i < p->m; ++i) {
      for (j = 0; j < p->n; ++j) {
        ft_real sum = 0;
        for (l = 0; l < p->k; ++l)
          sum += FT_A_AT(a[i * a_row + l * a_col], i, l) *
                 FT_B_AT(b[l * b_row + j * b_col], l, j);
        c[i * p->n + j] = (ft_real)p->alpha * sum;
      }
    }
    a += (ptrdiff_t)p->m * p->k;
    if (!p->broadcast_b) b += (ptrdiff_t)p->k * p->n;
    c += (ptrdiff_t)p->m * p->n;
  }
}
