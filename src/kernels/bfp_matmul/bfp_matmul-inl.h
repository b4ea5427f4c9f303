/* See bfp/row.h. */
#include "kernels/bfp/bfp.h"
#include "kernels/bfp/row.h"
#include "kernels/bfp_matmul/bfp_matmul.h"

typedef struct {
  const ft_bfp_matmul_params* p;
  const void *a, *b;
  const int32_t* share;
} context;

static void add_row(const ft_bfp_matmul_params* p, const void* b, int64_t at,
                    int32_t stride, int64_t v, int is_s8, int64_t* acc) {
  const int8_t* b8 = (const int8_t*)b + at;
  const int16_t* b16 = (const int16_t*)b + at;
  const int32_t zero = is_s8 ? p->b_zero_point : 0;
  int32_t j;
  for (j = 0; j < p->n; ++j)
    acc[j] += v * (is_s8 ? b8[j * stride] - zero : b16[j * stride]);
}

enum { BLOCK = 4 };

/* BLOCK columns of a row of int16 operands, b's columns next to each other:
 * sums stay in registers. */
static void fill_block(const ft_bfp_matmul_params* p, const int16_t* a,
                       int32_t a_col, const int16_t* b, int64_t* acc) {
  int64_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  int32_t l;
  for (l = 0; l < p->k; ++l, a += a_col, b += p->n) {
    const int32_t v = *a;
    s0 += v * b[0];
    s1 += v * b[1];
    s2 += v * b[2];
    s3 += v * b[3];
  }
  acc[0] = s0;
  acc[1] = s1;
  acc[2] = s2;
  acc[3] = s3;
}

static int is_blocked(const ft_bfp_matmul_params* p) {
  return !p->a_is_s8 && !p->b_is_s8 && !p->has_share && !p->trans_b &&
         p->n % BLOCK == 0;
}

/* Row (t, i) of c: a's values times rows of b. */
static void fill_row(const void* ctx, int32_t row, int64_t* acc) {
  const context* c = (const context*)ctx;
  const ft_bfp_matmul_params* p = c->p;
  const int32_t t = row / p->m, i = row - t * p->m;
  const int32_t a_row = p->trans_a ? 1 : p->k, a_col = p->trans_a ? p->m : 1;
  const int32_t b_row = p->trans_b ? 1 : p->n, b_col = p->trans_b ? p->k : 1;
  const int64_t a_at = (int64_t)t * p->m * p->k + (int64_t)i * a_row;
  const int64_t b_at = p->broadcast_b ? 0 : (int64_t)t * p->k * p->n;
  int32_t j, l;
  if (is_blocked(p)) {
    for (j = 0; j < p->n; j += BLOCK)
      fill_block(p, (const int16_t*)c->a + a_at, a_col,
                 (const int16_t*)c->b + b_at + j, acc + j);
    return;
  }
  for (j = 0; j < p->n; ++j) acc[j] = 0;
  for (l = 0; l < p->k; ++l) {
    const int64_t from = a_at + (int64_t)l * a_col;
    int64_t v = p->a_is_s8 ? ((const int8_t*)c->a)[from] - p->a_zero_point
                           : ((const int16_t*)c->a)[from];
    if (c->share) v *= c->share[l];
    if (v == 0) continue;
    if (p->b_is_s8)
      add_row(p, c->b, b_at + (int64_t)l * b_row, b_col, v, 1, acc);
    else
      add_row(p, c->b, b_at + (int64_t)l * b_row, b_col, v, 0, acc);
  }
  if (!c->share) return;
  for (j = 0; j < p->n; ++j) acc[j] = ft_shift_round(acc[j], 15);
}

void FT_BFP_ROW(ft_bfp_matmul)(const void* params, const ft_args* args) {
  const ft_bfp_matmul_params* p = (const ft_bfp_matmul_params*)params;
  const int32_t* a_exp = (const int32_t*)args->in[2];
  const int32_t* b_exp = (const int32_t*)args->in[3];
  context c;
  c.p = p;
  c.a = args->in[0];
  c.b = args->in[1];
  c.share = p->has_share ? (const int32_t*)args->aux[0] : NULL;
  ft_bfp_rows(
      fill_row, &c, p->batch * p->m, p->n, (int64_t*)args->scratch,
      (int32_t*)args->in[4],
      (int64_t)(a_exp ? *a_exp : 0) + (b_exp ? *b_exp : 0) + p->exponent, args);
}
