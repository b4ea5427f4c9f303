/* Loops of a float output. The includer defines FT_FN (symbol), FT_A and FT_B
 * (element types), FT_SCALES(args) (aux or NULL), and as factors in ft_real
 * FT_A_AT(v, i, l) and FT_B_AT(v, l, j): element v of row i (column j) of c,
 * and index l along k. */
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/matmul_scale-inl.h"
#include "kernels/real.h"

/* Columns `j` to `end` of one row of c, row `i`. */
typedef struct {
  int32_t i, j, end;
} span;

/* One product each, k = 1: the gradient of a layer's weights at batch 1. */
static void outer_product(const ft_matmul_params* p, span s, const FT_A* a,
                          const FT_B* b, const float* scale, ft_real* c) {
  const ft_real alpha = (ft_real)p->alpha;
  const ft_real v = FT_A_AT(a[s.i], s.i, 0);
  int32_t j;
  (void)scale;
  for (j = s.j; j < s.end; ++j) {
    const ft_real product = v * FT_B_AT(b[j], 0, j);
    c[j] = alpha * product;
  }
}

static void dot_products(const ft_matmul_params* p, span s, const FT_A* a,
                         const FT_B* b, const float* scale, ft_real* c) {
  const int32_t a_row = p->trans_a ? 1 : p->k, a_col = p->trans_a ? p->m : 1;
  const int32_t b_row = p->trans_b ? 1 : p->n, b_col = p->trans_b ? p->k : 1;
  const int32_t i = s.i;
  int32_t j, l;
  (void)scale;
  for (j = s.j; j < s.end; ++j) {
    ft_real sum = 0;
    for (l = 0; l < p->k; ++l)
      sum += FT_A_AT(a[i * a_row + l * a_col], i, l) *
             FT_B_AT(b[l * b_row + j * b_col], l, j);
    c[j] = (ft_real)p->alpha * sum;
  }
}

void FT_FN(const void* params, const ft_args* args) {
  const ft_matmul_params* p = (const ft_matmul_params*)params;
  const ft_part part = ft_part_of(args, p->batch * p->m * p->n);
  const int32_t first_row = p->n > 0 ? part.first / p->n : 0;
  const int32_t t = p->m > 0 ? first_row / p->m : 0;
  const ptrdiff_t a_step = (ptrdiff_t)p->m * p->k;
  const ptrdiff_t b_step = p->broadcast_b ? 0 : (ptrdiff_t)p->k * p->n;
  const FT_A* a = (const FT_A*)args->in[0] + t * a_step;
  const FT_B* b = (const FT_B*)args->in[1] + t * b_step;
  const float* scale = FT_SCALES(args);
  ft_real* c = (ft_real*)args->out[0] + (ptrdiff_t)first_row * p->n;
  int32_t left = part.end - part.first;
  span s;
  (void)scale;
  (void)scale_index;
  s.i = first_row - t * p->m;
  s.j = part.first - first_row * p->n;
  for (; left > 0; c += p->n) {
    s.end = p->n - s.j < left ? p->n : s.j + left;
    if (p->k == 1)
      outer_product(p, s, a, b, scale, c);
    else
      dot_products(p, s, a, b, scale, c);
    left -= s.end - s.j;
    s.j = 0;
    if (++s.i < p->m) continue;
    s.i = 0;
    a += a_step;
    b += b_step;
  }
}
