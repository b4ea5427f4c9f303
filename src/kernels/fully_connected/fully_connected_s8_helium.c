/* int8 fully connected layer: four output channels at a time against one row of
 * x (quant/s8_helium.h, where weights and x change places).
 *
 * aux: weights [n, k padded to 16], ft_device_channels, inv_acc_scale [n] float
 * (read with a low-rank side only). scratch: a row of x, padded with 0, unless
 * k is a multiple of 16. */
#include <string.h>

#include "kernels/fully_connected/device_finish.h"
#include "kernels/quant/s8_helium.h"

void ft_fully_connected_s8_helium(const void* params, const ft_args* args) {
  const ft_fully_connected_params* p = (const ft_fully_connected_params*)params;
  const int8_t *x = (const int8_t*)args->in[0], *w;
  int8_t *y = (int8_t*)args->out[0], *padded = (int8_t*)args->scratch;
  const int32_t k16 = (p->k + 15) / 16 * 16;
  int32_t row, j, i;
  if (k16 != p->k) memset(padded, 0, (size_t)k16);
  for (row = 0; row < p->rows; ++row, x += p->k) {
    const int8_t* xs = x;
    if (k16 != p->k) xs = (const int8_t*)memcpy(padded, x, (size_t)p->k);
    w = (const int8_t*)args->aux[0];
    for (j = 0; j < p->n; j += 4, w += 4 * k16) {
      const int32_t left = p->n - j, count = left < 4 ? left : 4;
      const int8_t* rows[4];
      int32_t sums[4];
      for (i = 0; i < 4; ++i) rows[i] = i < count ? w + i * k16 : w;
      vst1q_s32(sums, ft_mve_dot_4x1(xs, rows, k16 / 16));
      for (i = 0; i < count; ++i)
        *y++ = ft_device_fc_finish(p, args, row, j + i, sums[i]);
    }
  }
}
