/* int8 fully connected layer: one row of x, widened, against two packed pairs
 * of output channels at a time (quant/s8_armdsp.h).
 *
 * aux: packed weights, ft_device_channels, inv_acc_scale [n] float (read with a
 * low-rank side only). scratch: the row in halfwords, and its last bytes. */
#include "kernels/fully_connected/device_finish.h"
#include "kernels/quant/s8_armdsp.h"

static void widen_row(const int8_t* x, int32_t k, int32_t* wide) {
  int8_t last[4] = {0, 0, 0, 0};
  int32_t i;
  for (i = 0; i + 4 <= k; i += 4, wide += 2) ft_dsp_widen(x + i, wide, 1);
  if (i == k) return;
  memcpy(last, x + i, (size_t)(k - i));
  ft_dsp_widen(last, wide, 1);
}

void ft_fully_connected_s8_armdsp(const void* params, const ft_args* args) {
  const ft_fully_connected_params* p = (const ft_fully_connected_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  int8_t* y = (int8_t*)args->out[0];
  int32_t* wide = (int32_t*)args->scratch;
  const int32_t k4 = (p->k + 3) / 4 * 4;
  int32_t row, j, first, i;
  for (row = 0; row < p->rows; ++row) {
    const int32_t* w = (const int32_t*)args->aux[0];
    widen_row(x + row * p->k, p->k, wide);
    for (j = 0; j < p->n; j += 4, w += k4) {
      /* The last two channels may be alone: then they are summed twice. */
      const int32_t* v = j + 2 < p->n ? w + k4 / 2 : w;
      ft_dsp_sums s[2] = {{0, 0}, {0, 0}};
      int32_t all[4];
      for (first = 0; first < k4; first += FT_DSP_CHUNK) {
        const int32_t left = k4 - first;
        const int32_t count = left < FT_DSP_CHUNK ? left : FT_DSP_CHUNK;
        ft_dsp_dot_1x4(w + first / 2, v + first / 2, wide + first / 2,
                       count / 4, &s[0], &s[1]);
      }
      all[0] = s[0].s0;
      all[1] = s[0].s1;
      all[2] = s[1].s0;
      all[3] = s[1].s1;
      for (i = 0; i < 4 && j + i < p->n; ++i)
        *y++ = ft_device_fc_finish(p, args, row, j + i, all[i]);
    }
  }
}
