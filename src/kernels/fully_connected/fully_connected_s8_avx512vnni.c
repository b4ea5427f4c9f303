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
  const ft_s8_result result = {p->y_zero_point, p->q_low, p->q_high, 1,
                               FT_SIDE_LIMIT(p->rank)};
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
  if (p->rank > 0) ft_transpose_words(args->in[4], p->n, p->rank, lora_b);
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
  g.pairs = 0;
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

/* What is added to row `row`, as ft_side_of(), with a lora_b [n, rank] of the
 * row's own, read where it is. */
static inline __m512i grouped_side(const ft_s8_gemm* g, const float* lora_b,
                                   int32_t row, int32_t channel) {
  const int32_t left = g->n - channel;
  const __mmask16 mask =
      (__mmask16)(left >= FT_S8_PANEL ? 0xFFFF : (1 << left) - 1);
  const __m512i lane =
      _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i at = _mm512_mullo_epi32(lane, _mm512_set1_epi32(g->rank));
  const float* b = lora_b + (ptrdiff_t)channel * g->rank;
  const float* h = g->h + (ptrdiff_t)row * g->rank;
  __m512 sum = _mm512_setzero_ps();
  int32_t i;
  for (i = 0; i < g->rank; ++i)
    sum = _mm512_add_ps(
        sum, _mm512_mul_ps(_mm512_set1_ps(h[i]),
                           _mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask,
                                                    at, b + i, 4)));
  sum = _mm512_mul_ps(_mm512_set1_ps(g->lora_scaling), sum);
  sum = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, g->inv_acc_scale + channel),
                      sum);
  return ft_round_to_acc_512(sum);
}

/* As ft_s8_tile(). */
static inline __attribute__((always_inline)) void grouped_tile(
    const ft_s8_gemm* g, const float* const* lora_b, int32_t first,
    int32_t panel, const int kRows, const int kPanels) {
  const ptrdiff_t panel_bytes = (ptrdiff_t)g->run4 * 64;
  const int8_t* w = g->w + panel * panel_bytes;
  const uint8_t* from[FT_S8_TILE];
  __m512i acc[FT_S8_TILE][4];
  ptrdiff_t l;
  int i, v;
  FT_UNROLL_C for (i = 0; i < kRows; ++i) {
    from[i] = g->x + g->at[first + i];
    FT_UNROLL_C for (v = 0; v < kPanels; ++v) acc[i][v] =
        _mm512_loadu_si512(g->channels[panel + v].init);
  }
  FT_UNROLL_4_C for (l = 0; l < 4 * (ptrdiff_t)g->run4; l += 4, w += 64) {
    __m512i weights[4];
    FT_UNROLL_C for (v = 0; v < kPanels; ++v) weights[v] =
        _mm512_loadu_si512(w + v * panel_bytes);
    FT_UNROLL_C for (i = 0; i < kRows; ++i) {
      int32_t four;
      __m512i x;
      memcpy(&four, from[i] + l, 4);
      x = _mm512_set1_epi32(four);
      FT_UNROLL_C for (v = 0; v < kPanels; ++v) acc[i][v] =
          _mm512_dpbusd_epi32(acc[i][v], x, weights[v]);
    }
  }
  FT_UNROLL_C for (v = 0; v < kPanels; ++v) {
    const ft_s8_channels* c = &g->channels[panel + v];
    FT_UNROLL_C for (i = 0; i < kRows; ++i) {
      if (first + i < g->rows)
        acc[i][v] = _mm512_add_epi32(
            acc[i][v], grouped_side(g, lora_b[first + i], first + i,
                                    (panel + v) * FT_S8_PANEL));
      acc[i][v] = ft_requantize_once_512(acc[i][v], c);
    }
  }
  ft_s8_store_tile(g, first, panel, kRows, kPanels, &g->output, acc);
}

static void run_grouped(const ft_s8_gemm* g, const float* const* lora_b) {
  const int32_t panels = ft_s8_padded(g->n) / FT_S8_PANEL;
  int32_t panel = 0, first;
  for (; panel + 2 <= panels; panel += 2)
    for (first = 0; first < g->rows; first += 8)
      grouped_tile(g, lora_b, first, panel, 8, 2);
  for (; panel < panels; ++panel)
    for (first = 0; first < g->rows; first += FT_S8_TILE)
      grouped_tile(g, lora_b, first, panel, FT_S8_TILE, 1);
}

void ft_fully_connected_grouped_s8_avx512vnni(const void* params,
                                              const ft_args* args) {
  const ft_fully_connected_params* p = (const ft_fully_connected_params*)params;
  const int32_t row_bytes = row_bytes_of(p);
  const int8_t* x = (const int8_t*)args->in[0];
  const float* const* lora_b = (const float* const*)args->in[4];
  uint8_t* rows = (uint8_t*)args->scratch;
  ft_s8_gemm g;
  int32_t first, i;
  memset(&g, 0, sizeof(g));
  g.n = p->n;
  g.run4 = row_bytes / 4;
  /* A tile reads whole: rows that are not there are the first one again. */
  for (i = 0; i < FT_S8_BLOCK; ++i) g.at[i] = i < p->rows ? i * row_bytes : 0;
  g.x = rows;
  g.w = (const int8_t*)args->aux[3];
  g.channels = (const ft_s8_channels*)args->aux[4];
  g.output = ft_s8_output_of(p->y_zero_point, p->q_low, p->q_high);
  g.rank = p->rank;
  g.inv_acc_scale = (const float*)args->aux[2];
  g.lora_scaling = p->lora_scaling;
  for (first = 0; first < p->rows; first += FT_S8_BLOCK) {
    const int32_t left = p->rows - first;
    g.rows = left < FT_S8_BLOCK ? left : FT_S8_BLOCK;
    for (i = 0; i < g.rows; ++i)
      ft_copy_unsigned(x + (ptrdiff_t)(first + i) * p->k, p->k,
                       rows + (ptrdiff_t)i * row_bytes);
    g.h = (const float*)args->in[3] + (ptrdiff_t)first * p->rank;
    g.y = (int8_t*)args->out[0] + (ptrdiff_t)first * p->n;
    run_grouped(&g, lora_b + first);
  }
}
