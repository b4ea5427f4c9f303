/* Loops of a float output whose a or b has many zeros: behind a ReLU, or a
 * gradient that one has masked. Defines as for matmul-inl.h, and FT_SKIP_B for
 * zeros in b rather than a.
 *
 * Every sum starts at +0 and runs along k as in matmul-inl.h, but in its place
 * in c. What is left out are terms 0 * v: +0 or -0 for a finite v, which change
 * no sum (none is ever -0). So the bits are those of matmul-inl.h wherever the
 * other operand is finite. */
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/matmul_scale-inl.h"
#include "kernels/real.h"

/* c += column l of a times row l of b. */
static void add_outer(const ft_matmul_params* p, const ft_real* a,
                      const FT_B* b, int32_t l, const float* scale,
                      ft_real* c) {
  const int32_t a_row = p->trans_a ? 1 : p->k;
  const int32_t b_col = p->trans_b ? p->k : 1;
  int32_t i, j;
  (void)l;
  (void)scale;
#ifdef FT_SKIP_B
  for (j = 0; j < p->n; ++j) {
    const ft_real v = FT_B_AT(b[j * b_col], l, j);
    if (v == 0) continue;
    for (i = 0; i < p->m; ++i) c[i * p->n + j] += a[i * a_row] * v;
  }
#else
  for (i = 0; i < p->m; ++i) {
    const ft_real v = a[i * a_row];
    ft_real* to = c + (ptrdiff_t)i * p->n;
    if (v == 0) continue;
    for (j = 0; j < p->n; ++j) to[j] += v * FT_B_AT(b[j * b_col], l, j);
  }
#endif
}

void FT_FN(const void* params, const ft_args* args) {
  const ft_matmul_params* p = (const ft_matmul_params*)params;
  const int32_t a_col = p->trans_a ? p->m : 1, b_row = p->trans_b ? 1 : p->n;
  const ft_real* a = (const ft_real*)args->in[0];
  const FT_B* b = (const FT_B*)args->in[1];
  const float* scale = FT_SCALES(args);
  const int32_t count = p->m * p->n;
  ft_real* c = (ft_real*)args->out[0];
  int32_t t, i, l;
  (void)scale_index;
  for (t = 0; t < p->batch; ++t) {
    for (i = 0; i < count; ++i) c[i] = 0;
    for (l = 0; l < p->k; ++l)
      add_outer(p, a + (ptrdiff_t)l * a_col, b + (ptrdiff_t)l * b_row, l, scale,
                c);
    for (i = 0; i < count; ++i) c[i] = (ft_real)p->alpha * c[i];
    a += (ptrdiff_t)p->m * p->k;
    if (!p->broadcast_b) b += (ptrdiff_t)p->k * p->n;
    c += count;
  }
}
