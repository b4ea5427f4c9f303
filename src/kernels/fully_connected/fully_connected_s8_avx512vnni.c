/* int8 fully connected layer: rows of x as unsigned bytes, times packed
 * weights. */
#include "kernels/fully_connected/fully_connected.h"
#include "kernels/quant/s8_gemm_avx512.h"

static int32_t row_bytes_of(const ft_fully_connected_params* p) {
  return (p->k + 3) / 4 * 4;
}

int ft_fully_connected_s8_avx512vnni_available(void) {
  return ft_has_avx512vnni();
}

size_t ft_fully_connected_s8_avx512vnni_packed_bytes(
    const ft_fully_connected_params* p) {
  return ft_s8_packed_bytes(p->n, 1, p->k);
}

size_t ft_fully_connected_s8_avx512vnni_channels_bytes(
    const ft_fully_connected_params* p) {
  return (size_t)(ft_s8_padded(p->n) / FT_S8_PANEL) * sizeof(ft_s8_channels);
}

size_t ft_fully_connected_s8_avx512vnni_scratch_bytes(
    const ft_fully_connected_params* p) {
  const size_t rows = p->rows == 1 ? 1 : FT_S8_BLOCK;
  return rows * (size_t)row_bytes_of(p) +
         sizeof(float) * (size_t)ft_s8_padded(p->n) * (size_t)p->rank;
}

void ft_fully_connected_s8_avx512vnni_pack(const ft_fully_connected_params* p,
                                           const int8_t* w, const int32_t* bias,
                                           const int32_t* multiplier,
                                           const int32_t* shift, void* packed,
                                           void* channels) {
  const ft_s8_result result = {p->y_zero_point, p->q_low, p->q_high, 1};
  ft_s8_pack_weights(w, p->n, 1, p->k, bias, p->x_zero_point, multiplier, shift,
                     &result, (int8_t*)packed, (ft_s8_channels*)channels);
}

void ft_fully_connected_s8_avx512vnni(const void* params, const ft_args* args) {
  const ft_fully_connected_params* p = (const ft_fully_connected_params*)params;
  const int32_t row_bytes = row_bytes_of(p);
  const int8_t* x = (const int8_t*)args->in[0];
  const float* h = (const float*)args->in[3];
  uint8_t* rows = (uint8_t*)args->scratch;
  float* lora_b = (float*)(rows + (p->rows == 1 ? 1 : FT_S8_BLOCK) * row_bytes);
  ft_s8_gemm g;
  int32_t first, i;
  if (p->rank > 0)
    ft_s8_transpose_lora_b((const float*)args->in[4], p->n, p->rank, lora_b);
  g.n = p->n;
  g.runs_y = g.runs_x = 1;
  g.run4 = row_bytes / 4;
  g.step_y = g.step_x = 0;
  for (i = 0; i < (p->rows == 1 ? 1 : FT_S8_BLOCK); ++i)
    g.at[i] = i * row_bytes;
  g.rounds_once = 1;
  g.x = rows;
  g.w = (const int8_t*)args->aux[3];
  g.channels = (const ft_s8_channels*)args->aux[4];
  g.output = ft_s8_output_of(p->y_zero_point, p->q_low, p->q_high);
  g.rank = p->rank;
  g.lora_b = lora_b;
  g.inv_acc_scale = (const float*)args->aux[2];
  g.lora_scaling = p->lora_scaling;
  g.gain = (const float*)args->in[5];
  g.bias_outside = p->gain_bias ? NULL : (const int32_t*)args->in[2];
  for (first = 0; first < p->rows; first += FT_S8_BLOCK) {
    const int32_t left = p->rows - first;
    g.rows = left < FT_S8_BLOCK ? left : FT_S8_BLOCK;
    for (i = 0; i < g.rows; ++i)
      ft_copy_unsigned(x + (ptrdiff_t)(first + i) * p->k, p->k,
                       rows + (ptrdiff_t)i * row_bytes);
    g.h = p->rank > 0 ? h + (ptrdiff_t)first * p->rank : NULL;
    g.y = (int8_t*)args->out[0] + (ptrdiff_t)first * p->n;
    ft_s8_run_gemm(&g);
  }
}
