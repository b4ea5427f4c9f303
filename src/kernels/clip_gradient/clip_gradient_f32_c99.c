#include "kernels/clip_gradient/clip_gradient.h"
#include "kernels/real.h"

enum { kBlock = 256 };

void FT_NAME(sum_squares)(const void* params, const ft_args* args) {
  const ft_sum_squares_params* p = (const ft_sum_squares_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  const ft_real* so_far = (const ft_real*)args->in[1];
  ft_real sum = so_far ? so_far[0] : 0;
  int32_t done, i;
  for (done = 0; done < p->count;) {
    const int32_t left = p->count - done;
    const int32_t end = done + (left < kBlock ? left : kBlock);
    ft_real block = 0;
    for (i = done; i < end; ++i) block += x[i] * x[i];
    sum += block;
    done = end;
  }
  ((ft_real*)args->out[0])[0] = sum;
}

void FT_NAME(clip_gradient)(const void* params, const ft_args* args) {
  const ft_clip_gradient_params* p = (const ft_clip_gradient_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  const ft_real* sum_squares = (const ft_real*)args->in[1];
  ft_real* y = (ft_real*)args->out[0];
  const ft_real most = p->max_value;
  ft_real factor = 1;
  int32_t i;
  if (sum_squares) {
    factor = p->max_norm / (FT_SQRT(sum_squares[0]) + FT_R(1e-6));
    if (factor > 1) factor = 1;
  }
  for (i = 0; i < p->count; ++i) {
    ft_real v = x[i] * factor;
    if (most > 0) v = v < -most ? -most : (v > most ? most : v);
    y[i] = v;
  }
}
