/* Loops of a float output. The includer defines FT_FN (symbol), FT_X (element
 * type of x) and FT_X_AT(v) (x minus its zero point, as ft_real). */
#include "kernels/fully_connected/fully_connected.h"
#include "kernels/real.h"

void FT_FN(const void* params, const ft_args* args) {
  const ft_fully_connected_params* p = (const ft_fully_connected_params*)params;
  const FT_X* x = (const FT_X*)args->in[0];
  const ft_real* w = (const ft_real*)args->in[1];
  const ft_real* bias = (const ft_real*)args->in[2];
  const ft_real* h = (const ft_real*)args->in[3];
  const ft_real* lora_b = (const ft_real*)args->in[4];
  const ft_real* gain = (const ft_real*)args->in[5];
  const int bias_inside = !gain || p->gain_bias;
  ft_real* y = (ft_real*)args->out[0];
  int32_t row, j, l;
  for (row = 0; row < p->rows; ++row) {
    for (j = 0; j < p->n; ++j) {
      ft_real v = 0;
      for (l = 0; l < p->k; ++l)
        v += FT_X_AT(x[row * p->k + l]) * w[j * p->k + l];
      v *= (ft_real)p->x_scale;
      if (bias && bias_inside) v += bias[j];
      if (p->rank > 0) {
        ft_real side = 0;
        for (l = 0; l < p->rank; ++l)
          side += h[row * p->rank + l] * lora_b[j * p->rank + l];
        v += (ft_real)p->lora_scaling * side;
      }
      if (gain) v *= gain[j];
      if (bias && !bias_inside) v += bias[j];
      *y++ = ft_apply_act(v, p->act);
    }
  }
}
