#include "kernels/mse_loss/mse_loss.h"
#include "kernels/real.h"

void FT_NAME(mse_loss)(const void* params, const ft_args* args) {
  const ft_mse_loss_params* p = (const ft_mse_loss_params*)params;
  const ft_real* pred = (const ft_real*)args->in[0];
  const ft_real* target = (const ft_real*)args->in[1];
  ft_real* loss = (ft_real*)args->out[0];
  ft_real sum = 0;
  int32_t i;
  for (i = 0; i < p->count; ++i) {
    const ft_real d = pred[i] - target[i];
    sum += d * d;
  }
  loss[0] = sum / (ft_real)p->count;
}

void FT_NAME(mse_loss_grad)(const void* params, const ft_args* args) {
  const ft_mse_loss_params* p = (const ft_mse_loss_params*)params;
  const ft_real* pred = (const ft_real*)args->in[0];
  const ft_real* target = (const ft_real*)args->in[1];
  const ft_real* dloss = (const ft_real*)args->in[2];
  ft_real* dpred = (ft_real*)args->out[0];
  const ft_real scale = 2 * dloss[0] / (ft_real)p->count;
  int32_t i;
  for (i = 0; i < p->count; ++i) dpred[i] = (pred[i] - target[i]) * scale;
}
