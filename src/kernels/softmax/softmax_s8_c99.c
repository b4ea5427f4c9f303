#include "kernels/quant/fixed_point_math.h"
#include "kernels/softmax/softmax.h"

static int32_t max_of(const int8_t* x, int32_t n) {
  int32_t max = x[0], j;
  for (j = 1; j < n; ++j)
    if (x[j] > max) max = x[j];
  return max;
}

static int32_t scaled(const ft_softmax_params* p, int32_t diff) {
  return ft_requantize(diff, p->multiplier, p->shift);
}

/* Shifted right by more than 31 bits, nothing is left. */
static int32_t shifted_right(int32_t v, int bits) {
  return bits > 31 ? 0 : ft_rounding_shift_right(v, bits);
}

/* Sum of e^(x - max) in Q12.19, at least 1; safe for 2^12 elements. */
static int32_t sum_of_exps(const ft_softmax_params* p, const int8_t* x,
                           int32_t max) {
  int32_t sum = 0, j;
  for (j = 0; j < p->cols; ++j) {
    const int32_t diff = x[j] - max;
    if (diff >= p->diff_min)
      sum = ft_q_add(sum, ft_q_shift(ft_q_exp(scaled(p, diff)), -12));
  }
  return sum;
}

void ft_softmax_s8_c99(const void* params, const ft_args* args) {
  const ft_softmax_params* p = (const ft_softmax_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  int8_t* y = (int8_t*)args->out[0];
  int32_t i, j;
  for (i = 0; i < p->rows; ++i, x += p->cols, y += p->cols) {
    const int32_t max = max_of(x, p->cols);
    int bits;
    const int32_t inverse = ft_q_reciprocal(sum_of_exps(p, x, max), &bits);
    for (j = 0; j < p->cols; ++j) {
      const int32_t diff = x[j] - max;
      int32_t v = 0;
      if (diff >= p->diff_min)
        v = shifted_right(ft_q_mul(inverse, ft_q_exp(scaled(p, diff))),
                          bits + 31 - 8);
      y[j] = (int8_t)ft_clamp_i32(v - 128, -128, 127);
    }
  }
}

/* In Q5.26; results are rounded to Q4 sixteenths. */
void ft_log_softmax_s8_c99(const void* params, const ft_args* args) {
  const ft_softmax_params* p = (const ft_softmax_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  int8_t* y = (int8_t*)args->out[0];
  int32_t i, j;
  for (i = 0; i < p->rows; ++i, x += p->cols, y += p->cols) {
    const int32_t max = max_of(x, p->cols);
    const int32_t log_sum = ft_q_log(sum_of_exps(p, x, max));
    /* The least difference whose result Q5.26 can hold. */
    int32_t least = ft_requantize(ft_q_add(log_sum, INT32_MIN),
                                  p->reverse_multiplier, p->reverse_shift);
    if (least < p->diff_min - 1) least = p->diff_min - 1;
    for (j = 0; j < p->cols; ++j) {
      const int32_t diff = x[j] - max;
      int32_t v = -128;
      if (diff > least)
        v = ft_rounding_shift_right(scaled(p, diff) - log_sum, 22) + 127;
      y[j] = (int8_t)ft_clamp_i32(v, -128, 127);
    }
  }
}
