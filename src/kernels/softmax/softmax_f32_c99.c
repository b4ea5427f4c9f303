#include "kernels/real.h"
#include "kernels/softmax/softmax.h"

static ft_real max_of(const ft_real* x, int32_t n) {
  ft_real max = x[0];
  int32_t j;
  for (j = 1; j < n; ++j)
    if (x[j] > max) max = x[j];
  return max;
}

void FT_NAME(softmax)(const void* params, const ft_args* args) {
  const ft_softmax_params* p = (const ft_softmax_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  ft_real* y = (ft_real*)args->out[0];
  int32_t i, j;
  for (i = 0; i < p->rows; ++i, x += p->cols, y += p->cols) {
    const ft_real max = max_of(x, p->cols);
    ft_real sum = 0;
    for (j = 0; j < p->cols; ++j) {
      y[j] = FT_EXP((x[j] - max) * p->beta);
      sum += y[j];
    }
    for (j = 0; j < p->cols; ++j) y[j] = y[j] / sum;
  }
}

void FT_NAME(softmax_grad)(const void* params, const ft_args* args) {
  const ft_softmax_params* p = (const ft_softmax_params*)params;
  const ft_real* dy = (const ft_real*)args->in[0];
  const ft_real* y = (const ft_real*)args->in[1];
  ft_real* dx = (ft_real*)args->out[0];
  int32_t i, j;
  for (i = 0; i < p->rows; ++i) {
    ft_real dot = 0;
    for (j = 0; j < p->cols; ++j) dot += dy[j] * y[j];
    for (j = 0; j < p->cols; ++j) dx[j] = p->beta * y[j] * (dy[j] - dot);
    dy += p->cols;
    y += p->cols;
    dx += p->cols;
  }
}

void FT_NAME(log_softmax)(const void* params, const ft_args* args) {
  const ft_softmax_params* p = (const ft_softmax_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  ft_real* y = (ft_real*)args->out[0];
  int32_t i, j;
  for (i = 0; i < p->rows; ++i, x += p->cols, y += p->cols) {
    const ft_real max = max_of(x, p->cols);
    ft_real sum = 0, log_sum;
    for (j = 0; j < p->cols; ++j) sum += FT_EXP(x[j] - max);
    log_sum = FT_LOG(sum);
    for (j = 0; j < p->cols; ++j) y[j] = (x[j] - max) - log_sum;
  }
}

void FT_NAME(log_softmax_grad)(const void* params, const ft_args* args) {
  const ft_softmax_params* p = (const ft_softmax_params*)params;
  const ft_real* dy = (const ft_real*)args->in[0];
  const ft_real* y = (const ft_real*)args->in[1];
  ft_real* dx = (ft_real*)args->out[0];
  int32_t i, j;
  for (i = 0; i < p->rows; ++i) {
    ft_real sum = 0;
    for (j = 0; j < p->cols; ++j) sum += dy[j];
    for (j = 0; j < p->cols; ++j) dx[j] = dy[j] - FT_EXP(y[j]) * sum;
    dy += p->cols;
    y += p->cols;
    dx += p->cols;
  }
}
