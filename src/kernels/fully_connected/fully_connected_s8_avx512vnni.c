/* int8 fully connected layer: rows of x as unsigned bytes, times packed
 * weights. */
#include "kernels/fully_connected/fully_connected.h"
#include "kernels/quant/s8_gemm_avx512.h"

static int32_t row_bytes_of(const ft_fully_connected_params* p) {
  return (p->k + 3) / 4 * 4;
}

static int32_t block_rows(const ft_fully_connected_params* p) {
  return p->rows == 1 ? 1 : FT_S8_BLOCK;
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
  /* B transposed, or what each row's own side adds. */
  const int32_t block = block_rows(p);
  const int32_t beside =
      p->rank > 0 && p->rank < block && p->rows > 1 ? block : p->rank;
  return (size_t)block * (size_t)row_bytes_of(p) +
         sizeof(float) * (size_t)ft_s8_padded(p->n) * (size_t)beside;
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
  float* lora_b = (float*)(rows + block_rows(p) * row_bytes);
  ft_s8_gemm g;
  int32_t first, i;
  if (p->rank > 0) ft_transpose_words(args->in[4], p->n, p->rank, lora_b);
  g.n = p->n;
  g.runs_y = g.runs_x = 1;
  g.run4 = row_bytes / 4;
  g.step_y = g.step_x = 0;
  for (i = 0; i < block_rows(p); ++i) g.at[i] = i * row_bytes;
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
  g.added = NULL;
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

/* Sums of 16 channels over their four ranks, from `left` of them. Each lane
 * multiplies four channels' ranks; the transposed lanes are added in order. */
static inline __m512 four_ranks(const float* b, const float* h, int32_t left) {
  const __m512 four = _mm512_broadcast_f32x4(_mm_loadu_ps(h));
  /* Channels 4 i + lane lie at lane i of each: back to one order. */
  const __m512i order =
      _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
  __m512 t[4], low, high, low2, high2, sum;
  int32_t i;
  FT_UNROLL_C for (i = 0; i < 4; ++i) {
    const int32_t words = 4 * left - 16 * i;
    const __mmask16 inside =
        (__mmask16)(words >= 16 ? 0xFFFF : (words > 0 ? (1 << words) - 1 : 0));
    t[i] = _mm512_mul_ps(four, _mm512_maskz_loadu_ps(inside, b + 16 * i));
  }
  low = _mm512_unpacklo_ps(t[0], t[1]);
  low2 = _mm512_unpacklo_ps(t[2], t[3]);
  high = _mm512_unpackhi_ps(t[0], t[1]);
  high2 = _mm512_unpackhi_ps(t[2], t[3]);
  sum = _mm512_add_ps(_mm512_setzero_ps(), _mm512_shuffle_ps(low, low2, 0x44));
  sum = _mm512_add_ps(sum, _mm512_shuffle_ps(low, low2, 0xEE));
  sum = _mm512_add_ps(sum, _mm512_shuffle_ps(high, high2, 0x44));
  sum = _mm512_add_ps(sum, _mm512_shuffle_ps(high, high2, 0xEE));
  return _mm512_permutexvar_ps(order, sum);
}

/* The same over any ranks, r of them. */
static inline __m512 all_ranks(const float* b, const float* h, int32_t r,
                               int32_t left) {
  __m512 sum = _mm512_setzero_ps();
  __m512i column[4];
  int32_t i, k, count;
  if (r == 4) return four_ranks(b, h, left);
  for (i = 0; i < r; i += count) {
    count = ft_next_columns((const int32_t*)(const void*)b, left, r, i, column);
    for (k = 0; k < count; ++k)
      sum = _mm512_add_ps(sum, _mm512_mul_ps(_mm512_set1_ps(h[i + k]),
                                             _mm512_castsi512_ps(column[k])));
  }
  return sum;
}

/* What is added to row `row`, as ft_side_of(), with a lora_b [n, rank] of the
 * row's own, read where it is. */
static inline __m512i own_side(const ft_s8_gemm* g, const float* lora_b,
                               int32_t row, int32_t channel) {
  const int32_t left = g->n - channel;
  const __mmask16 mask =
      (__mmask16)(left >= FT_S8_PANEL ? 0xFFFF : (1 << left) - 1);
  __m512 sum = all_ranks(lora_b + (ptrdiff_t)channel * g->rank,
                         g->h + (ptrdiff_t)row * g->rank, g->rank, left);
  sum = _mm512_mul_ps(_mm512_set1_ps(g->lora_scaling), sum);
  sum = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, g->inv_acc_scale + channel),
                      sum);
  return ft_round_to_acc_512(sum);
}

void ft_fully_connected_grouped_s8_avx512vnni(const void* params,
                                              const ft_args* args) {
  const ft_fully_connected_params* p = (const ft_fully_connected_params*)params;
  const int32_t row_bytes = row_bytes_of(p);
  const int8_t* x = (const int8_t*)args->in[0];
  const float* const* lora_b = (const float* const*)args->in[4];
  const int32_t block = block_rows(p), padded = ft_s8_padded(p->n);
  uint8_t* rows = (uint8_t*)args->scratch;
  int32_t* added = (int32_t*)(rows + (ptrdiff_t)block_rows(p) * row_bytes);
  ft_s8_gemm g;
  int32_t first, i, c;
  memset(&g, 0, sizeof(g));
  g.n = p->n;
  g.runs_y = g.runs_x = 1;
  g.run4 = row_bytes / 4;
  g.rounds_once = 1;
  g.added = added;
  /* A tile reads whole: rows that are not there are the first one again. */
  for (i = 0; i < FT_S8_BLOCK; ++i) g.at[i] = i < block ? i * row_bytes : 0;
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
    for (i = 0; i < g.rows; ++i)
      for (c = 0; c < p->n; c += FT_S8_PANEL)
        _mm512_storeu_si512(added + (ptrdiff_t)i * padded + c,
                            own_side(&g, lora_b[first + i], i, c));
    ft_s8_run_gemm(&g);
  }
}
