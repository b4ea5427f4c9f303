#include "kernels/top_gradient/top_gradient.h"
/* Before select.h. */
#include "kernels/real.h"
#include "kernels/select/select.h"

void FT_NAME(top_gradient)(const void* params, const ft_args* args) {
  const ft_top_gradient_params* p = (const ft_top_gradient_params*)params;
  const ft_real* grad = (const ft_real*)args->in[0];
  ft_real* values = (ft_real*)args->out[0];
  int32_t* positions = (int32_t*)args->out[1];
  ft_selection least =
      ft_select_largest(grad, p->count, p->kept, sizeof(ft_real), ft_real_key,
                        (int32_t*)args->scratch);
  int32_t i, n = 0;
  /* Writes each, and goes on behind those that stay. */
  for (i = 0; n < p->kept; ++i) {
    values[n] = grad[i];
    positions[n] = i;
    n += ft_is_selected(ft_real_key(grad, i), &least);
  }
}
