/* y = requantize(rows w^T + side): the product of the int8 convolution and
 * fully connected rows. Rows are unsigned (x + 128); weights are packed by
 * ft_s8_pack_weights() as [panel of 16 channels][k / 4][16][4]. */
#ifndef FT_KERNELS_QUANT_S8_GEMM_AVX512_H_
#define FT_KERNELS_QUANT_S8_GEMM_AVX512_H_

#include "kernels/quant/s8_avx512.h"

/* Rows of a block; scratch holds so many, whatever is left of the image, since
 * tiles are computed whole. A multiple of 6 and 12. */
enum { FT_S8_BLOCK = 48 };

typedef struct {
  int32_t rows, n, k4; /* k4: length of a row in groups of 4 bytes */
  const uint8_t* x;    /* row stride 4 * k4 */
  const int8_t* w;
  const ft_s8_channels* channels; /* [panels] */
  int32_t rounds_once;            /* ft_requantize_once(), else twice */
  int8_t* y;                      /* row stride n */
  ft_s8_output output;
  /* Low-rank side: h [rows, rank], lora_b as [rank][padded n]. */
  int32_t rank;
  const float* h;
  const float* lora_b;
  const float* inv_acc_scale; /* [n] */
  float lora_scaling;
} ft_s8_gemm;

static inline int32_t ft_s8_padded(int32_t n) {
  return (n + FT_S8_PANEL - 1) / FT_S8_PANEL * FT_S8_PANEL;
}

static inline __m512i ft_side_of(const ft_s8_gemm* g, int32_t row,
                                 int32_t channel) {
  const float* h = g->h + row * g->rank;
  const float* b = g->lora_b + channel;
  const int32_t padded = ft_s8_padded(g->n);
  const int32_t left = g->n - channel;
  const __mmask16 mask =
      (__mmask16)(left >= FT_S8_PANEL ? 0xFFFF : (1 << left) - 1);
  __m512 sum = _mm512_setzero_ps();
  int32_t i;
  for (i = 0; i < g->rank; ++i)
    sum = _mm512_add_ps(
        sum, _mm512_mul_ps(_mm512_set1_ps(h[i]),
                           _mm512_loadu_ps(b + (ptrdiff_t)i * padded)));
  sum = _mm512_mul_ps(_mm512_set1_ps(g->lora_scaling), sum);
  return ft_round_to_acc_512(_mm512_mul_ps(
      sum, _mm512_maskz_loadu_ps(mask, g->inv_acc_scale + channel)));
}

/* Rows first .. first + kRows, kPanels panels from `panel`; both counts are
 * constants at each call, at most 12 and 4. */
static inline __attribute__((always_inline)) void ft_s8_tile(
    const ft_s8_gemm* g, int32_t first, int32_t panel, const int kRows,
    const int kPanels) {
  const int32_t stride = 4 * g->k4, columns = g->n - panel * FT_S8_PANEL;
  const ptrdiff_t panel_bytes = (ptrdiff_t)g->k4 * 64;
  const int8_t* w = g->w + panel * panel_bytes;
  const uint8_t* from[4]; /* a pointer for three rows */
  __m512i acc[12][4];
  int32_t l, last;
  int i, v;
  FT_UNROLL_C for (i = 0; i < kRows; ++i) {
    FT_UNROLL_C for (v = 0; v < kPanels; ++v) acc[i][v] =
        _mm512_loadu_si512(g->channels[panel + v].init);
  }
  FT_UNROLL_C for (i = 0; i < kRows; i += 3) from[i / 3] =
      g->x + (ptrdiff_t)(first + i) * stride;
  for (l = 0; l < g->k4; ++l) {
    __m512i weights[4];
    FT_UNROLL_C for (v = 0; v < kPanels; ++v) weights[v] =
        _mm512_loadu_si512(w + v * panel_bytes);
    FT_UNROLL_C for (i = 0; i < kRows; ++i) {
      int32_t four;
      __m512i x;
      memcpy(&four, from[i / 3] + i % 3 * stride, 4);
      x = _mm512_set1_epi32(four);
      FT_UNROLL_C for (v = 0; v < kPanels; ++v) acc[i][v] =
          _mm512_dpbusd_epi32(acc[i][v], x, weights[v]);
    }
    FT_UNROLL_C for (i = 0; i < kRows; i += 3) from[i / 3] += 4;
    w += 64;
  }
  last = g->rows - first;
  FT_UNROLL_C for (i = 0; i < kRows; ++i) {
    __m512i q[4], bytes;
    if (i >= last) break;
    FT_UNROLL_C for (v = 0; v < 4; ++v) {
      q[v] = _mm512_setzero_si512();
      if (v >= kPanels) continue;
      if (g->rank > 0)
        acc[i][v] = _mm512_add_epi32(
            acc[i][v], ft_side_of(g, first + i, (panel + v) * FT_S8_PANEL));
      q[v] = g->rounds_once
                 ? ft_requantize_once_512(acc[i][v], &g->channels[panel + v])
                 : ft_requantize_512(acc[i][v], &g->channels[panel + v]);
    }
    bytes = ft_narrow_512(q, &g->output);
    /* Channels 0..3 of the four vectors lie together: back to one order. */
    bytes = _mm512_permutexvar_epi32(
        _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0),
        bytes);
    _mm512_mask_storeu_epi8(
        g->y + (ptrdiff_t)(first + i) * g->n + panel * FT_S8_PANEL,
        ft_first_bytes(columns < kPanels * FT_S8_PANEL ? columns
                                                       : kPanels * FT_S8_PANEL),
        bytes);
  }
}

static void ft_s8_run_gemm(const ft_s8_gemm* g) {
  const int32_t panels = ft_s8_padded(g->n) / FT_S8_PANEL;
  int32_t panel = 0, first;
  if (g->rows == 1) {
    for (; panel + 4 <= panels; panel += 4) ft_s8_tile(g, 0, panel, 1, 4);
    for (; panel < panels; ++panel) ft_s8_tile(g, 0, panel, 1, 1);
    return;
  }
  for (; panel + 4 <= panels; panel += 4)
    for (first = 0; first < g->rows; first += 6)
      ft_s8_tile(g, first, panel, 6, 4);
  for (; panel + 2 <= panels; panel += 2)
    for (first = 0; first < g->rows; first += 12)
      ft_s8_tile(g, first, panel, 12, 2);
  for (; panel < panels; ++panel)
    for (first = 0; first < g->rows; first += 12)
      ft_s8_tile(g, first, panel, 12, 1);
}

/* lora_b [n, rank] -> [rank][padded n] */
static void ft_s8_transpose_lora_b(const float* b, int32_t n, int32_t rank,
                                   float* out) {
  const int32_t padded = ft_s8_padded(n);
  int32_t i, c;
  for (i = 0; i < rank; ++i)
    for (c = 0; c < padded; ++c)
      out[i * padded + c] = c < n ? b[c * rank + i] : 0.0f;
}

/* Packs w [n, k] and the channels' constants. `bias` may be NULL. */
static void ft_s8_pack_weights(const int8_t* w, int32_t n, int32_t k,
                               const int32_t* bias, int32_t zero_point,
                               const int32_t* multiplier, const int32_t* shift,
                               int8_t* packed, ft_s8_channels* channels) {
  const int32_t k4 = (k + 3) / 4, panels = ft_s8_padded(n) / FT_S8_PANEL;
  int32_t panel, l, i;
  memset(packed, 0, (size_t)panels * (size_t)k4 * 64);
  for (panel = 0; panel < panels; ++panel) {
    ft_s8_clear_channels(&channels[panel]);
    for (i = 0; i < FT_S8_PANEL; ++i) {
      const int32_t c = panel * FT_S8_PANEL + i;
      int32_t sum = 0;
      if (c >= n) break;
      for (l = 0; l < k; ++l) {
        packed[((panel * k4 + l / 4) * FT_S8_PANEL + i) * 4 + l % 4] =
            w[c * k + l];
        sum += w[c * k + l];
      }
      ft_s8_set_channel(&channels[panel], i, bias ? bias[c] : 0, sum,
                        zero_point, multiplier[c], shift[c]);
    }
  }
}

#endif /* FT_KERNELS_QUANT_S8_GEMM_AVX512_H_ */
