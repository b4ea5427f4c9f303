#include "kernels/bfp/soft_float.h"
#include "kernels/bfp_inverse_norm/bfp_inverse_norm.h"

/* Results are rounded to 20 bits behind the point first: a row without an
 * adapter then has exactly 1, though its unit is a rounded number. */
enum { FRACTION = 20 };

typedef struct {
  const ft_bfp_inverse_norm_params* p;
  const int8_t* w;
  const int16_t *a, *b;
  const int32_t *multiplier, *exponent, *inverse;
  int32_t product_exponent;
} context;

/* Element j of row o, in 2^-FT_NORM_FRACTION steps of w. */
static int64_t element(const context* c, int32_t o, int32_t j) {
  const ft_bfp_inverse_norm_params* p = c->p;
  const int64_t limit = (int64_t)127 << (FT_NORM_FRACTION + 8);
  const int16_t *b = c->b + o * p->rank, *a = c->a + j;
  int64_t product = 0, side;
  int32_t l;
  for (l = 0; l < p->rank; ++l, a += p->columns) product += b[l] * *a;
  side = ft_bfp_scale(
      product, c->multiplier[o],
      ft_clamp_exponent((int64_t)c->product_exponent + c->exponent[o]));
  if (side > limit) side = limit;
  if (side < -limit) side = -limit;
  return (int64_t)c->w[o * p->out_step + j * p->step] *
             (1 << FT_NORM_FRACTION) +
         side;
}

static int64_t inverse_length(const context* c, int32_t o) {
  const int64_t full = (int64_t)1 << 62;
  int64_t squares = 0, limit = (int64_t)1 << FRACTION;
  const int32_t* unit = c->inverse + 2 * o;
  ft_soft root, y;
  int32_t j;
  for (j = 0; j < c->p->columns; ++j) {
    const int64_t v = element(c, o, j);
    squares += v * v;
    if (squares > full) squares = full;
    if (c->w[o * c->p->out_step + j * c->p->step] != 0)
      limit = (int64_t)1 << (FRACTION + 7);
  }
  if (squares == 0) return limit;
  root = ft_soft_sqrt(ft_soft_of(squares, 0));
  y = ft_soft_div(ft_soft_of(unit[0], ft_clamp_exponent(unit[1])), root);
  squares = ft_shift_round(y.m, ft_clamp_exponent(-(int64_t)y.e - FRACTION));
  return squares < limit ? squares : limit;
}

/* The accumulators are filled when this is called. */
static void fill_nothing(const void* ctx, int32_t row, int64_t* acc) {
  (void)ctx;
  (void)row;
  (void)acc;
}

void ft_bfp_inverse_norm_c99(const void* params, const ft_args* args) {
  context c;
  int64_t* acc = (int64_t*)args->scratch;
  int32_t o;
  c.p = (const ft_bfp_inverse_norm_params*)params;
  c.w = (const int8_t*)args->in[0];
  c.a = (const int16_t*)args->in[1];
  c.b = (const int16_t*)args->in[3];
  c.product_exponent = ft_clamp_exponent(
      (int64_t) * (const int32_t*)args->in[2] + *(const int32_t*)args->in[4]);
  c.multiplier = (const int32_t*)args->aux[0];
  c.exponent = (const int32_t*)args->aux[1];
  c.inverse = (const int32_t*)args->aux[2];
  for (o = 0; o < c.p->rows; ++o) acc[o] = inverse_length(&c, o);
  ft_bfp_rows(fill_nothing, NULL, 1, c.p->rows, acc, NULL, -FRACTION, args);
}
