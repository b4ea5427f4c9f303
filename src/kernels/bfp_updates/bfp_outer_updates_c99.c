#include "kernels/bfp/bfp.h"
#include "kernels/bfp_updates/entries.h"

/* dy and x of an outer product. */
typedef struct {
  const int16_t* dy;
  const void* x;
  int32_t rows, cols, zero_point, is_s8;
} factors;

static int32_t x_at(const factors* f, int32_t i) {
  return f->is_s8 ? ((const int8_t*)f->x)[i] - f->zero_point
                  : ((const int16_t*)f->x)[i];
}

static factors factors_of(const ft_bfp_update_params* p, const ft_args* args,
                          const void* x) {
  factors f;
  f.dy = (const int16_t*)args->in[2];
  f.x = x;
  f.cols = p->cols;
  f.rows = p->cols > 0 ? p->count / p->cols : 0;
  f.zero_point = p->x_zero_point;
  f.is_s8 = p->x_is_s8;
  return f;
}

/* The largest product's magnitude, below 2^31. */
static uint32_t largest(const factors* f) {
  uint32_t dy = 0, x = 0;
  int32_t i;
  for (i = 0; i < f->rows; ++i) {
    const uint32_t v = (uint32_t)(f->dy[i] < 0 ? -f->dy[i] : f->dy[i]);
    if (v > dy) dy = v;
  }
  for (i = 0; i < f->cols; ++i) {
    const int32_t at = x_at(f, i);
    const uint32_t v = (uint32_t)(at < 0 ? -at : at);
    if (v > x) x = v;
  }
  return dy * x;
}

/* What ft_bfp_run() comes to, which is known before any product. The last part
 * of a call renews the prediction. */
static int32_t shift_of(uint32_t product, int32_t* predicted, int is_last) {
  const int32_t need = ft_bit_length(product) - FT_BFP_BITS;
  int32_t shift = predicted ? *predicted : 0;
  if (shift < -64) shift = -64;
  if (shift > 64) shift = 64;
  if (product == 0) return predicted ? shift : 0;
  if (!predicted) return need;
  if (is_last) *predicted = need + FT_BFP_HEADROOM;
  return need > shift || shift > need + FT_BFP_SLACK ? need : shift;
}

/* The gradient's shift; begin() knows its exponent then. */
static int32_t start(const ft_bfp_update_params* p, const ft_args* args,
                     const factors* f, size_t x_exp, update* u) {
  const int32_t* exponent = (const int32_t*)args->in[x_exp];
  const int32_t shift = shift_of(largest(f), (int32_t*)args->in[x_exp + 1],
                                 ft_part_of(args, f->rows).is_last);
  u->grad_exp =
      ft_clamp_exponent((int64_t)(exponent ? *exponent : 0) +
                        *(const int32_t*)args->in[3] + shift + p->exponent);
  u->grad = (const int16_t*)args->scratch;
  u->begin = 0;
  u->end = f->cols;
  u->first = ft_part_of(args, f->rows).first * f->cols;
  return shift;
}

/* Row j of the gradient. */
static void fill(const factors* f, int32_t j, int32_t shift, int16_t* grad) {
  const int32_t g = f->dy[j];
  int32_t i;
  if (shift <= 0 || shift >= 32)
    for (i = 0; i < f->cols; ++i)
      grad[i] = ft_saturate_s16(ft_shift_round((int64_t)g * x_at(f, i), shift));
  else
    for (i = 0; i < f->cols; ++i)
      grad[i] = ft_bfp_round_s32(g * x_at(f, i), shift);
}

void ft_bfp_outer_adamw_update_c99(const void* params, const ft_args* args) {
  const ft_bfp_update_params* p = (const ft_bfp_update_params*)params;
  const factors f = factors_of(p, args, args->in[8]);
  update u = begin(params, args, NULL);
  const adamw a = adamw_of(&u, args);
  const int32_t shift = start(p, args, &f, 9, &u);
  const ft_part part = ft_part_of(args, f.rows);
  int32_t j;
  if (holds(args)) return;
  for (j = part.first; j < part.end; ++j, u.first += f.cols) {
    fill(&f, j, shift, (int16_t*)args->scratch);
    adamw_entries(&u, &a);
  }
  make_room(&u, args);
}

void ft_bfp_outer_sgd_update_c99(const void* params, const ft_args* args) {
  const ft_bfp_update_params* p = (const ft_bfp_update_params*)params;
  const factors f = factors_of(p, args, args->in[7]);
  update u = begin(params, args, NULL);
  const int32_t shift = start(p, args, &f, 8, &u);
  const ft_part part = ft_part_of(args, f.rows);
  int32_t j;
  if (holds(args)) return;
  for (j = part.first; j < part.end; ++j, u.first += f.cols) {
    fill(&f, j, shift, (int16_t*)args->scratch);
    sgd_entries(&u, (uint16_t*)args->in[6]);
  }
  make_room(&u, args);
}
