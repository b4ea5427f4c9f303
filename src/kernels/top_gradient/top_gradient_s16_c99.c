#include "kernels/select/select.h"
#include "kernels/top_gradient/top_gradient.h"

static ft_key key_at(const void* values, int32_t i) {
  const int32_t v = ((const int16_t*)values)[i];
  return (ft_key)(v < 0 ? -v : v);
}

void ft_top_gradient_s16_c99(const void* params, const ft_args* args) {
  const ft_top_gradient_params* p = (const ft_top_gradient_params*)params;
  const int16_t* grad = (const int16_t*)args->in[0];
  int16_t* values = (int16_t*)args->out[0];
  int32_t* positions = (int32_t*)args->out[1];
  ft_selection least = ft_select_largest(grad, p->count, p->kept, 2, key_at,
                                         (int32_t*)args->scratch);
  int32_t i, n = 0;
  /* Writes each, and goes on behind those that stay. */
  for (i = 0; n < p->kept; ++i) {
    values[n] = grad[i];
    positions[n] = i;
    n += ft_is_selected(key_at(grad, i), &least);
  }
}
