/* What adamw_update.h does to one element. */
#ifndef FT_KERNELS_ADAMW_ELEMENT_H_
#define FT_KERNELS_ADAMW_ELEMENT_H_

#include "kernels/adamw_update/adamw_update.h"
#include "kernels/real.h"

typedef struct {
  ft_real keep, step, c2; /* 1 - lr * weight decay, lr * c1 */
} ft_adamw_factors;

static inline ft_adamw_factors ft_adamw_factors_of(
    const ft_adamw_update_params* p, const float* hyper) {
  const ft_real lr = hyper[0];
  ft_adamw_factors f;
  f.keep = 1 - lr * p->weight_decay;
  f.step = lr * hyper[1];
  f.c2 = hyper[2];
  return f;
}

static inline void ft_adamw_element(const ft_adamw_update_params* p,
                                    const ft_adamw_factors* f, ft_real g,
                                    ft_real* param, ft_real* m, ft_real* v) {
  *m = *m + p->one_minus_beta1 * (g - *m);
  *v = p->beta2 * *v + p->one_minus_beta2 * (g * g);
  *param = *param * f->keep - f->step * (*m / (FT_SQRT(*v * f->c2) + p->eps));
}

#endif /* FT_KERNELS_ADAMW_ELEMENT_H_ */
