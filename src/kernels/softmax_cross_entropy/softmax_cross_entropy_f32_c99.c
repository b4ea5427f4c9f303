#include "kernels/real.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"

static ft_real max_of(const ft_real* x, int32_t n) {
  ft_real max = x[0];
  int32_t j;
  for (j = 1; j < n; ++j)
    if (x[j] > max) max = x[j];
  return max;
}

static int is_known(const ft_softmax_cross_entropy_params* p, int32_t label) {
  return label >= 0 && label < p->classes;
}

/* Rows that count; at least 1, so that nothing known has the loss 0. */
static ft_real known_rows(const ft_softmax_cross_entropy_params* p,
                          const int32_t* labels) {
  int32_t n = 0, i;
  for (i = 0; i < p->rows; ++i) n += is_known(p, labels[i]);
  return (ft_real)(n > 0 ? n : 1);
}

void FT_NAME(softmax_cross_entropy)(const void* params, const ft_args* args) {
  const ft_softmax_cross_entropy_params* p =
      (const ft_softmax_cross_entropy_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  const int32_t* labels = (const int32_t*)args->in[1];
  ft_real* loss = (ft_real*)args->out[0];
  ft_real total = 0;
  int32_t i, j;
  for (i = 0; i < p->rows; ++i, x += p->classes) {
    ft_real max, sum = 0;
    if (!is_known(p, labels[i])) continue;
    max = max_of(x, p->classes);
    for (j = 0; j < p->classes; ++j) sum += FT_EXP(x[j] - max);
    total += FT_LOG(sum) + (max - x[labels[i]]);
  }
  loss[0] = total / known_rows(p, labels);
}

/* d x_j = (softmax_j - [j = label]) dloss / known rows */
void FT_NAME(softmax_cross_entropy_grad)(const void* params,
                                         const ft_args* args) {
  const ft_softmax_cross_entropy_params* p =
      (const ft_softmax_cross_entropy_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  const int32_t* labels = (const int32_t*)args->in[1];
  const ft_real* dloss = (const ft_real*)args->in[2];
  ft_real* dx = (ft_real*)args->out[0];
  const ft_real scale = dloss[0] / known_rows(p, labels);
  int32_t i, j;
  for (i = 0; i < p->rows; ++i, x += p->classes, dx += p->classes) {
    const int known = is_known(p, labels[i]);
    const ft_real max = max_of(x, p->classes);
    ft_real sum = 0;
    for (j = 0; j < p->classes; ++j) {
      dx[j] = FT_EXP(x[j] - max);
      sum += dx[j];
    }
    for (j = 0; j < p->classes; ++j)
      dx[j] = known ? (dx[j] / sum - (j == labels[i])) * scale : 0;
  }
}
