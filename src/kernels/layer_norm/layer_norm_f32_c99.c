#include "kernels/layer_norm/layer_norm.h"
#include "kernels/real.h"

static ft_real mean_of(const ft_layer_norm_params* p, const ft_real* x) {
  const int32_t n = p->cols;
  ft_real sum = 0;
  int32_t j;
  if (!p->center) return 0;
  for (j = 0; j < n; ++j) sum += x[j];
  return sum / (ft_real)n;
}

/* 1 / sqrt(variance + eps), in two passes: one would cancel. */
static ft_real inverse_deviation(const ft_real* x, int32_t n, ft_real mean,
                                 ft_real eps) {
  ft_real sum = 0;
  int32_t j;
  for (j = 0; j < n; ++j) sum += (x[j] - mean) * (x[j] - mean);
  return 1 / FT_SQRT(sum / (ft_real)n + eps);
}

void FT_NAME(layer_norm)(const void* params, const ft_args* args) {
  const ft_layer_norm_params* p = (const ft_layer_norm_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  const ft_real* gamma = (const ft_real*)args->in[1];
  const ft_real* beta = (const ft_real*)args->in[2];
  ft_real* y = (ft_real*)args->out[0];
  int32_t i, j;
  for (i = 0; i < p->rows; ++i, x += p->cols, y += p->cols) {
    const ft_real mean = mean_of(p, x);
    const ft_real inverse = inverse_deviation(x, p->cols, mean, p->eps);
    for (j = 0; j < p->cols; ++j) {
      const ft_real scale = gamma ? gamma[j] : 1, shift = beta ? beta[j] : 0;
      y[j] = (x[j] - mean) * inverse * scale + shift;
    }
  }
}

/* With xhat = (x - mean) inverse and g = dy gamma:
 * dx = inverse (g - mean(g) - xhat mean(g xhat)); a mean that counts as 0 has
 * no gradient, so that mean(g) falls out. */
void FT_NAME(layer_norm_grad)(const void* params, const ft_args* args) {
  const ft_layer_norm_params* p = (const ft_layer_norm_params*)params;
  const ft_real* dy = (const ft_real*)args->in[0];
  const ft_real* x = (const ft_real*)args->in[1];
  const ft_real* gamma = (const ft_real*)args->in[2];
  ft_real* dx = (ft_real*)args->out[0];
  const ft_real n = (ft_real)p->cols;
  int32_t i, j;
  for (i = 0; i < p->rows; ++i) {
    const ft_real mean = mean_of(p, x);
    const ft_real inverse = inverse_deviation(x, p->cols, mean, p->eps);
    ft_real sum = 0, dot = 0;
    for (j = 0; j < p->cols; ++j) {
      const ft_real g = gamma ? dy[j] * gamma[j] : dy[j];
      if (p->center) sum += g;
      dot += g * ((x[j] - mean) * inverse);
    }
    for (j = 0; j < p->cols; ++j) {
      const ft_real g = gamma ? dy[j] * gamma[j] : dy[j];
      dx[j] = inverse * (g - sum / n - (x[j] - mean) * inverse * (dot / n));
    }
    dy += p->cols;
    x += p->cols;
    dx += p->cols;
  }
}
