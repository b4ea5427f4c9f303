/* What sgd_update.h does to one element. */
#ifndef FT_KERNELS_SGD_ELEMENT_H_
#define FT_KERNELS_SGD_ELEMENT_H_

#include "kernels/real.h"
#include "kernels/sgd_update/sgd_update.h"

static inline void ft_sgd_element(const ft_sgd_update_params* p, ft_real lr,
                                  ft_real g, ft_real* param, ft_real* state) {
  if (p->weight_decay != 0) g = g + p->weight_decay * *param;
  if (state) {
    *state = p->momentum * *state + g;
    g = p->nesterov ? g + p->momentum * *state : *state;
  }
  *param = *param - lr * g;
}

#endif /* FT_KERNELS_SGD_ELEMENT_H_ */
