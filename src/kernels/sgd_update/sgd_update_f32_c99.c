#include "kernels/sgd_update/sgd_element.h"

/* Without momentum and decay. */
static void plain(const ft_sgd_update_params* p, ft_real lr,
                  const ft_real* grad, ft_real* param) {
  const ft_real* end = param + p->count;
  for (; end - param >= 4; param += 4, grad += 4) {
    const ft_real v0 = param[0], v1 = param[1], v2 = param[2], v3 = param[3];
    param[0] = v0 - lr * grad[0];
    param[1] = v1 - lr * grad[1];
    param[2] = v2 - lr * grad[2];
    param[3] = v3 - lr * grad[3];
  }
  for (; param != end; ++param, ++grad) *param = *param - lr * *grad;
}

void FT_NAME(sgd_update)(const void* params, const ft_args* args) {
  const ft_sgd_update_params* p = (const ft_sgd_update_params*)params;
  ft_real* param = (ft_real*)args->in[0];
  const ft_real* grad = (const ft_real*)args->in[1];
  const float* hyper = (const float*)args->in[2];
  const ft_real lr = hyper[0];
  ft_real* state = (ft_real*)args->in[3];
  const int32_t* positions = (const int32_t*)args->in[4];
  const int is_plain = !positions && !state && p->weight_decay == 0;
  int32_t i;
  if (hyper[3] != 0) return;
  if (is_plain) plain(p, lr, grad, param);
  for (i = 0; !positions && !is_plain && i < p->count; ++i)
    ft_sgd_element(p, lr, grad[i], param + i, state ? state + i : NULL);
  for (i = 0; positions && i < p->kept; ++i) {
    const int32_t at = positions[i];
    if (at < 0 || at >= p->count) continue;
    ft_sgd_element(p, lr, grad[i], param + at, state ? state + at : NULL);
  }
}
