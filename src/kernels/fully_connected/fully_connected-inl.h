/* Loops of a float output. The includer defines FT_FN (symbol), FT_X (element
 * type of x) and FT_X_AT(v) (x minus its zero point, as ft_real). */
#include "kernels/fully_connected/fully_connected.h"
#include "kernels/real.h"

/* sum[j] = x w[j] of four rows of w, each in the order of k. */
static void dot4(const ft_fully_connected_params* p, const FT_X* x,
                 const ft_real* w, ft_real* sum) {
  const int32_t k = p->k;
  const ft_real *w1 = w + k, *w2 = w1 + k, *w3 = w2 + k;
  ft_real s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  int32_t l;
  for (l = 0; l < k; ++l) {
    const ft_real v = FT_X_AT(x[l]);
    s0 += v * w[l];
    s1 += v * w1[l];
    s2 += v * w2[l];
    s3 += v * w3[l];
  }
  sum[0] = s0;
  sum[1] = s1;
  sum[2] = s2;
  sum[3] = s3;
}

static ft_real dot(const ft_fully_connected_params* p, const FT_X* x,
                   const ft_real* w) {
  const int32_t k = p->k;
  ft_real sum = 0;
  int32_t l;
  for (l = 0; l < k; ++l) sum += FT_X_AT(x[l]) * w[l];
  return sum;
}

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
  ft_real sum[4];
  int32_t row, j, l;
  for (row = 0; row < p->rows; ++row) {
    for (j = 0; j < p->n; ++j) {
      ft_real v;
      if (j % 4 == 0 && j + 4 <= p->n)
        dot4(p, x + row * p->k, w + j * p->k, sum);
      else if (j % 4 == 0 || j / 4 * 4 + 4 > p->n)
        sum[j % 4] = dot(p, x + row * p->k, w + j * p->k);
      v = sum[j % 4] * (ft_real)p->x_scale;
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
