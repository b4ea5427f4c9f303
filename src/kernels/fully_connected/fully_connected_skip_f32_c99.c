/* The float layer for an x that is often 0, as behind a ReLU: a zero of x skips
 * its column of w. No side, no gain.
 *
 * Every sum starts at +0 and runs along k as in the other C99 row. What is left
 * out are terms 0 * w: +0 or -0 for a finite w, which change no sum (none is
 * ever -0). So the bits are equal wherever the weights are finite; a zero times
 * an infinity would be NaN there and is nothing here. */
#include "kernels/fully_connected/fully_connected.h"
#include "kernels/real.h"

void FT_NAME(fully_connected_skip)(const void* params, const ft_args* args) {
  const ft_fully_connected_params* p = (const ft_fully_connected_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  const ft_real* w = (const ft_real*)args->in[1];
  const ft_real* bias = (const ft_real*)args->in[2];
  ft_real* y = (ft_real*)args->out[0];
  int32_t row, j, l;
  for (row = 0; row < p->rows; ++row) {
    for (j = 0; j < p->n; ++j) y[j] = 0;
    for (l = 0; l < p->k; ++l) {
      const ft_real v = x[l];
      if (v == 0) continue;
      for (j = 0; j < p->n; ++j) y[j] += v * w[j * p->k + l];
    }
    for (j = 0; j < p->n; ++j)
      y[j] = ft_apply_act(bias ? y[j] + bias[j] : y[j], p->act);
    x += p->k;
    y += p->n;
  }
}
