#include "kernels/bfp/bfp.h"
#include "kernels/bfp_losses/bfp_losses.h"
#include "kernels/quant/fixed_point_math.h"

typedef struct {
  const ft_bfp_loss_params* p;
  const int16_t* x;
  const int32_t* labels; /* or target */
  int32_t exponent;      /* of x's unit times the multiplier */
} context;

static context context_of(const void* params, const ft_args* args) {
  context c;
  c.p = (const ft_bfp_loss_params*)params;
  c.x = (const int16_t*)args->in[0];
  c.labels = (const int32_t*)args->in[2];
  c.exponent = ft_clamp_exponent((int64_t) * (const int32_t*)args->in[1] +
                                 c.p->shift - 31);
  return c;
}

static int32_t maximum(const int16_t* x, int32_t n) {
  int32_t best = x[0], i;
  for (i = 1; i < n; ++i)
    if (x[i] > best) best = x[i];
  return best;
}

/* e^(x - max) in Q0.31. */
static int32_t exp_at(const context* c, int32_t below_max) {
  return ft_q_exp(-ft_bfp_scale(below_max, c->p->multiplier, c->exponent + 26));
}

static int64_t sum_of_exps(const context* c, const int16_t* x, int32_t max) {
  int64_t sum = 0;
  int32_t i;
  for (i = 0; i < c->p->classes; ++i) sum += exp_at(c, max - x[i]);
  return sum;
}

/* max - x[label] in Q26. */
static int64_t label_below_max(const context* c, const int16_t* x, int32_t max,
                               int32_t label) {
  int32_t i, below = 0, fine;
  for (i = 0; i < c->p->classes; ++i)
    if (i == label) below = max - x[i];
  fine = ft_bfp_scale(below, c->p->multiplier, c->exponent + 26);
  if (fine < 1 << 30) return fine;
  return (int64_t)ft_bfp_scale(below, c->p->multiplier, c->exponent + 10) << 16;
}

static void store_loss(int64_t sum, int32_t exponent, int32_t* loss) {
  const int32_t spare = ft_bit_length(ft_magnitude(sum)) - 30;
  const int32_t shift = spare > 0 ? spare : 0;
  loss[0] = (int32_t)ft_shift_round(sum, shift);
  loss[1] = exponent + shift;
}

void ft_bfp_softmax_cross_entropy_c99(const void* params, const ft_args* args) {
  const context c = context_of(params, args);
  const int16_t* x = c.x;
  int64_t total = 0;
  int32_t row;
  for (row = 0; row < c.p->rows; ++row, x += c.p->classes) {
    const int32_t max = maximum(x, c.p->classes);
    const int64_t sum = ft_shift_round(sum_of_exps(&c, x, max), 12);
    const int32_t q19 = sum < 1 << 19     ? 1 << 19
                        : sum > INT32_MAX ? INT32_MAX
                                          : (int32_t)sum;
    total += ft_q_log(q19) + label_below_max(&c, x, max, c.labels[row]);
  }
  store_loss(total / c.p->rows, -26, (int32_t*)args->out[0]);
}

static void fill_softmax_grad(const void* ctx, int32_t row, int64_t* acc) {
  const context* c = (const context*)ctx;
  const int16_t* x = c->x + row * c->p->classes;
  const int32_t max = maximum(x, c->p->classes);
  const int64_t sum = sum_of_exps(c, x, max);
  int32_t i;
  for (i = 0; i < c->p->classes; ++i) {
    acc[i] = ((int64_t)exp_at(c, max - x[i]) * (1 << 30) + sum / 2) / sum;
    if (c->labels && i == c->labels[row]) acc[i] -= 1 << 30;
  }
}

void ft_bfp_softmax_cross_entropy_grad_c99(const void* params,
                                           const ft_args* args) {
  const context c = context_of(params, args);
  ft_bfp_rows(fill_softmax_grad, &c, c.p->rows, c.p->classes,
              (int64_t*)args->scratch, NULL, (int64_t)c.p->exponent - 30, args);
}

void ft_bfp_softmax_c99(const void* params, const ft_args* args) {
  int64_t* acc = (int64_t*)args->scratch;
  int16_t* y = (int16_t*)args->out[0];
  int32_t row;
  context c;
  c.p = (const ft_bfp_loss_params*)params;
  c.x = (const int16_t*)args->in[0];
  c.labels = NULL;
  c.exponent = ft_clamp_exponent((int64_t) * (const int32_t*)args->in[1] +
                                 c.p->shift - 31);
  for (row = 0; row < c.p->rows; ++row, y += c.p->classes) {
    fill_softmax_grad(&c, row, acc);
    ft_bfp_write(acc, c.p->classes, (uint64_t)1 << 30, 16, y); /* at most 1 */
  }
  *(int32_t*)args->out[1] = -14;
}

static int32_t error_at(const context* c, int32_t i) {
  const int32_t limit = 1 << 20;
  const int32_t pred = ft_bfp_scale(c->x[i], c->p->multiplier, c->exponent);
  return ft_clamp_i32(pred, -limit, limit) -
         ft_clamp_i32(c->labels[i], -limit, limit);
}

void ft_bfp_mse_loss_c99(const void* params, const ft_args* args) {
  const context c = context_of(params, args);
  int64_t sum = 0;
  int32_t i;
  for (i = 0; i < c.p->rows; ++i) {
    const int64_t error = error_at(&c, i);
    sum += error * error;
  }
  store_loss(sum / c.p->rows, 0, (int32_t*)args->out[0]);
}

static void fill_error(const void* ctx, int32_t row, int64_t* acc) {
  acc[0] = error_at((const context*)ctx, row);
}

void ft_bfp_mse_loss_grad_c99(const void* params, const ft_args* args) {
  const context c = context_of(params, args);
  int64_t acc;
  ft_bfp_rows(fill_error, &c, c.p->rows, 1, &acc, NULL, c.p->exponent, args);
}

void ft_bfp_quantize_c99(const void* params, const ft_args* args) {
  const ft_bfp_loss_params* p = (const ft_bfp_loss_params*)params;
  const int16_t* x = (const int16_t*)args->in[0];
  const int32_t exponent = ft_clamp_exponent(
      (int64_t) * (const int32_t*)args->in[1] + p->shift - 31);
  int8_t* q = (int8_t*)args->out[0];
  int32_t i;
  for (i = 0; i < p->rows; ++i)
    q[i] = (int8_t)ft_clamp_i32(
        ft_bfp_scale(x[i], p->multiplier, exponent) + p->zero_point, -128, 127);
}
