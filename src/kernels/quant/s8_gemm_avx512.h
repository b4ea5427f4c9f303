/* y = requantize(rows w^T + side): the product of the int8 convolution and
 * fully connected rows. Rows are unsigned (x + 128). A row consists of runs of
 * bytes, so that a convolution's rows are read from the image in place; weights
 * are packed by ft_s8_pack_weights() as [panel of 16
 * channels][run][run4][16][4], which pads each run to groups of 4 bytes with
 * weights of 0. */
#ifndef FT_KERNELS_QUANT_S8_GEMM_AVX512_H_
#define FT_KERNELS_QUANT_S8_GEMM_AVX512_H_

#include "kernels/quant/s8_avx512.h"
#include "kernels/side_conv2d/side_conv2d.h"

/* Rows of a block and of the highest tile. A block is a multiple of the tiles'
 * heights, 6, 8 and 12. */
enum { FT_S8_BLOCK = 48, FT_S8_TILE = 12 };

/* The largest tile whose weights are called for ahead: half of an L2. */
enum { FT_S8_AHEAD = 1 << 19 };

typedef struct {
  int32_t rows, n;
  /* Row i: runs_y x runs_x runs of 4 * run4 bytes that begin at
   * x + at[i] + iy * step_y + ix * step_x. Tiles are computed whole: all of
   * at[] points to readable bytes. */
  int32_t runs_y, runs_x, run4, step_y, step_x;
  int32_t at[FT_S8_BLOCK + 16]; /* the end is room for whole vectors */
  const uint8_t* x;
  const int8_t* w;
  const ft_s8_channels* channels; /* [panels] */
  int32_t rounds_once;            /* ft_requantize_once(), else twice */
  int8_t* y;                      /* row stride n */
  ft_s8_output output;
  /* Low-rank side, of which `channels` know unless there is a gain: h [rows,
   * rank], lora_b as [rank][padded n]. */
  int32_t rank;
  const float* h;
  const float* lora_b;
  const float* inv_acc_scale; /* [n] */
  float lora_scaling;
  /* Low-rank side in integers (side_conv2d.h), of which they know too: h
   * [rows][h_row] int16, and B as [pairs][padded n] pairs of int16; 0 pairs:
   * none. */
  int32_t pairs, h_row;
  const int16_t* side_h;
  const int32_t* side_b;
  /* What sides add where each row has its own: [rows][padded n], or NULL. */
  const int32_t* added;
  /* Factor of the sum [n] or NULL, and the bias if it does not apply to it. */
  const float* gain;
  const int32_t* bias_outside;
} ft_s8_gemm;

static inline int32_t ft_s8_padded(int32_t n) {
  return (n + FT_S8_PANEL - 1) / FT_S8_PANEL * FT_S8_PANEL;
}

static inline ptrdiff_t ft_s8_panel_bytes(const ft_s8_gemm* g) {
  return (ptrdiff_t)g->runs_y * g->runs_x * g->run4 * 64;
}

/* What is added to `acc`, as the C99 rows compute it. */
static inline __m512i ft_side_of(const ft_s8_gemm* g, int32_t row,
                                 int32_t channel, __m512i acc) {
  const ptrdiff_t padded = ft_s8_padded(g->n);
  const int32_t left = g->n - channel;
  const __mmask16 mask =
      (__mmask16)(left >= FT_S8_PANEL ? 0xFFFF : (1 << left) - 1);
  __m512 sum = _mm512_setzero_ps();
  int32_t i;
  for (i = 0; i < g->rank; ++i) {
    const float h = g->h[(ptrdiff_t)row * g->rank + i];
    const __m512 b = _mm512_loadu_ps(g->lora_b + i * padded + channel);
    sum = _mm512_add_ps(sum, _mm512_mul_ps(_mm512_set1_ps(h), b));
  }
  sum = _mm512_mul_ps(_mm512_set1_ps(g->lora_scaling), sum);
  sum = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, g->inv_acc_scale + channel),
                      sum);
  if (g->gain) {
    const __m512 gain = _mm512_maskz_loadu_ps(mask, g->gain + channel);
    const __m512 above_one = _mm512_sub_ps(gain, _mm512_set1_ps(1));
    if (g->bias_outside)
      acc = _mm512_sub_epi32(
          acc, _mm512_maskz_loadu_epi32(mask, g->bias_outside + channel));
    sum = _mm512_add_ps(_mm512_mul_ps(above_one, _mm512_cvtepi32_ps(acc)),
                        _mm512_mul_ps(gain, sum));
  }
  return ft_round_to_acc_512(sum);
}

/* acc += g->added. Rows behind the last one are the last one. */
static inline __attribute__((always_inline)) void ft_s8_add_given(
    const ft_s8_gemm* g, int32_t first, int32_t panel, const int kRows,
    const int kPanels, __m512i acc[FT_S8_TILE][4]) {
  const int32_t* columns = g->added + panel * FT_S8_PANEL;
  int i, v;
  FT_UNROLL_C for (i = 0; i < kRows; ++i) {
    const int32_t row = first + i < g->rows ? first + i : g->rows - 1;
    const int32_t* added = columns + (ptrdiff_t)row * ft_s8_padded(g->n);
    FT_UNROLL_C for (v = 0; v < kPanels; ++v) acc[i][v] = _mm512_add_epi32(
        acc[i][v], _mm512_loadu_si512(added + v * FT_S8_PANEL));
  }
}

/* acc += what the side in integers adds, of kPairs pairs. Before the products,
 * which leave no registers for it. */
static inline __attribute__((always_inline)) void ft_s8_add_pairs(
    const ft_s8_gemm* g, int32_t first, int32_t panel, const int kRows,
    const int kPanels, const int32_t kPairs, __m512i acc[FT_S8_TILE][4]) {
  const ptrdiff_t padded = ft_s8_padded(g->n);
  const int32_t* b = g->side_b + panel * FT_S8_PANEL;
  const int16_t* h = g->side_h + (ptrdiff_t)first * g->h_row;
  int i, v;
  FT_UNROLL_C for (v = 0; v < kPanels; ++v, b += FT_S8_PANEL) {
    __m512i side[FT_S8_TILE];
    int32_t pair;
    FT_UNROLL_C for (i = 0; i < kRows; ++i) side[i] = _mm512_setzero_si512();
    FT_UNROLL_4_C for (pair = 0; pair < kPairs; ++pair) {
      const __m512i factors = _mm512_loadu_si512(b + pair * padded);
      FT_UNROLL_C for (i = 0; i < kRows; ++i) {
        int32_t two;
        memcpy(&two, h + (ptrdiff_t)i * g->h_row + 2 * pair, 4);
        side[i] = _mm512_dpwssd_epi32(side[i], _mm512_set1_epi32(two), factors);
      }
    }
    FT_UNROLL_C for (i = 0; i < kRows; ++i) acc[i][v] =
        _mm512_add_epi32(acc[i][v], _mm512_srai_epi32(side[i], FT_SIDE_BITS));
  }
}

/* acc = requantize(acc), still int32, with the zero point, by lines. */
static inline __attribute__((always_inline)) void ft_s8_requantize_lines(
    const ft_s8_gemm* g, int32_t panel, int lines, const int kRows,
    const int kPanels, __m512i acc[FT_S8_TILE][4]) {
  int i, v;
  FT_UNROLL_C for (v = 0; v < kPanels; ++v) {
    const ft_s8_channels* c = &g->channels[panel + v];
    if (lines == 1) {
      FT_UNROLL_C for (i = 0; i < kRows; ++i) acc[i][v] =
          ft_requantize_one_line_512(acc[i][v], c);
    } else {
      FT_UNROLL_C for (i = 0; i < kRows; ++i) acc[i][v] =
          ft_requantize_line_512(acc[i][v], c);
    }
  }
}

/* acc += what a gain and the side add: only once the sums are known. */
static inline __attribute__((always_inline)) void ft_s8_add_gain(
    const ft_s8_gemm* g, int32_t first, int32_t panel, const int kRows,
    const int kPanels, __m512i acc[FT_S8_TILE][4]) {
  int i, v;
  FT_UNROLL_C for (v = 0; v < kPanels; ++v) {
    FT_UNROLL_C for (i = 0; i < kRows; ++i) if (first + i < g->rows) acc[i][v] =
        _mm512_add_epi32(
            acc[i][v],
            ft_side_of(g, first + i, (panel + v) * FT_S8_PANEL, acc[i][v]));
  }
}

/* acc += what the side in floats adds, as ft_side_of() without a gain. Before
 * the products, which leave no registers for it. Rows behind the last one are
 * the last one. */
static inline __attribute__((always_inline)) void ft_s8_add_side(
    const ft_s8_gemm* g, int32_t first, int32_t panel, const int kRows,
    const int kPanels, __m512i acc[FT_S8_TILE][4]) {
  const ptrdiff_t padded = ft_s8_padded(g->n);
  const __m512 scaling = _mm512_set1_ps(g->lora_scaling);
  const float* h[FT_S8_TILE];
  int32_t r;
  int i, v;
  FT_UNROLL_C for (i = 0; i < kRows; ++i) {
    const int32_t row = first + i < g->rows ? first + i : g->rows - 1;
    h[i] = g->h + (ptrdiff_t)row * g->rank;
  }
  FT_UNROLL_C for (v = 0; v < kPanels; ++v) {
    const int32_t channel = (panel + v) * FT_S8_PANEL, left = g->n - channel;
    const __mmask16 mask =
        (__mmask16)(left >= FT_S8_PANEL ? 0xFFFF : (1 << left) - 1);
    const __m512 inv = _mm512_maskz_loadu_ps(mask, g->inv_acc_scale + channel);
    __m512 sum[FT_S8_TILE];
    FT_UNROLL_C for (i = 0; i < kRows; ++i) sum[i] = _mm512_setzero_ps();
    for (r = 0; r < g->rank; ++r) {
      const __m512 b = _mm512_loadu_ps(g->lora_b + r * padded + channel);
      FT_UNROLL_C for (i = 0; i < kRows; ++i) sum[i] =
          _mm512_add_ps(sum[i], _mm512_mul_ps(_mm512_set1_ps(h[i][r]), b));
    }
    FT_UNROLL_C for (i = 0; i < kRows; ++i) acc[i][v] =
        _mm512_add_epi32(acc[i][v], ft_round_to_acc_512(_mm512_mul_ps(
                                        inv, _mm512_mul_ps(scaling, sum[i]))));
  }
}

/* acc = requantize(acc), still int32. */
static inline __attribute__((always_inline)) void ft_s8_requantize_tile(
    const ft_s8_gemm* g, int32_t panel, const int kRows, const int kPanels,
    __m512i acc[FT_S8_TILE][4]) {
  int i, v;
  FT_UNROLL_C for (v = 0; v < kPanels; ++v) {
    const ft_s8_channels* c = &g->channels[panel + v];
    /* One test for the tile; what is loaded from `c` stays in registers. */
    if (g->rounds_once) {
      FT_UNROLL_C for (i = 0; i < kRows; ++i) acc[i][v] =
          ft_requantize_once_512(acc[i][v], c);
    } else if (c->is_plain) {
      FT_UNROLL_C for (i = 0; i < kRows; ++i) acc[i][v] =
          ft_requantize_plain_512(acc[i][v], c);
    } else {
      FT_UNROLL_C for (i = 0; i < kRows; ++i) acc[i][v] =
          ft_requantize_512(acc[i][v], c);
    }
  }
}

/* 4 / kPanels rows are narrowed to bytes at a time. */
static inline __attribute__((always_inline)) void ft_s8_store_tile(
    const ft_s8_gemm* g, int32_t first, int32_t panel, const int kRows,
    const int kPanels, const ft_s8_output* output, __m512i acc[FT_S8_TILE][4]) {
  const __m512i order =
      _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
  const int kGroup = 4 / kPanels, kWidth = kPanels * FT_S8_PANEL;
  const int32_t last = g->rows - first;
  const int32_t columns = g->n - panel * FT_S8_PANEL;
  int8_t* y = g->y + (ptrdiff_t)first * g->n + panel * FT_S8_PANEL;
  int i, v, j;
  FT_UNROLL_C for (i = 0; i < kRows; i += kGroup) {
    __m512i q[4], bytes;
    const int32_t count = last - i < kGroup ? last - i : kGroup;
    if (count <= 0) break;
    FT_UNROLL_C for (v = 0; v < 4; ++v) {
      const int row = i + v / kPanels;
      q[v] = row < kRows ? acc[row][v % kPanels] : _mm512_setzero_si512();
    }
    bytes = ft_narrow_512(q, output);
    /* Channels 0..3 of the four vectors lie together: back to one order. */
    if (g->n == kWidth) {
      _mm512_mask_storeu_epi8(y, ft_first_bytes(count * kWidth),
                              _mm512_permutexvar_epi32(order, bytes));
      y += kGroup * kWidth;
      continue;
    }
    for (j = 0; j < count; ++j, y += g->n) {
      const __m512i from =
          _mm512_add_epi32(order, _mm512_set1_epi32(j * kPanels));
      _mm512_mask_storeu_epi8(
          y, ft_first_bytes(columns < kWidth ? columns : kWidth),
          _mm512_permutexvar_epi32(from, bytes));
    }
  }
}

/* Calls for `count` lines of the cache, to L2. */
static inline __attribute__((always_inline)) void ft_s8_call_for(
    const int8_t* w, ptrdiff_t ahead, const int count) {
  uintptr_t at = (uintptr_t)w + (uintptr_t)ahead; /* may be behind the last */
  int i;
  FT_UNROLL_C for (i = 0; i < count; ++i, at += 64)
      _mm_prefetch((const char*)at, _MM_HINT_T1);
}

/* acc += rows times weights. */
static inline __attribute__((always_inline)) void ft_s8_multiply_tile(
    const ft_s8_gemm* g, const uint8_t* from[FT_S8_TILE], const int8_t* w,
    ptrdiff_t panel_bytes, const int kRows, const int kPanels,
    const int kStreams, __m512i acc[FT_S8_TILE][4]) {
  ptrdiff_t ahead = kPanels * panel_bytes;
  int32_t iy, ix;
  ptrdiff_t l;
  int i, v;
  for (iy = 0; iy < g->runs_y; ++iy) {
    for (ix = 0; ix < g->runs_x; ++ix) {
      const ptrdiff_t begin =
          (ptrdiff_t)iy * g->step_y + (ptrdiff_t)ix * g->step_x;
      const ptrdiff_t end = begin + 4 * (ptrdiff_t)g->run4;
      FT_UNROLL_4_C for (l = begin; l < end; l += 4, w += 64) {
        __m512i weights[4];
        FT_UNROLL_C for (v = 0; v < kPanels; ++v) weights[v] =
            _mm512_loadu_si512(w + v * panel_bytes);
        if (kStreams) {
          ft_s8_call_for(w, ahead, kPanels);
          ahead += (kPanels - 1) * 64;
        }
        FT_UNROLL_C for (i = 0; i < kRows; ++i) {
          int32_t four;
          __m512i x;
          memcpy(&four, from[i] + l, 4);
          x = _mm512_set1_epi32(four);
          FT_UNROLL_C for (v = 0; v < kPanels; ++v) acc[i][v] =
              _mm512_dpbusd_epi32(acc[i][v], x, weights[v]);
        }
      }
    }
  }
}

/* Rows first .. first + kRows, kPanels panels from `panel`; both counts are
 * constants at each call, at most FT_S8_TILE, and 1, 2 or 4. With kStreams the
 * next tile's weights are called for while these are multiplied, in the order
 * of memory: 1.4 times the rate from there, the same rate from caches. */
static inline __attribute__((always_inline)) void ft_s8_tile(
    const ft_s8_gemm* g, int32_t first, int32_t panel, const int kRows,
    const int kPanels, const int kStreams) {
  const ptrdiff_t panel_bytes = ft_s8_panel_bytes(g);
  const int8_t* w = g->w + panel * panel_bytes;
  const int lines = g->gain ? 0 : ft_s8_num_lines(g->channels + panel, kPanels);
  const uint8_t* from[FT_S8_TILE];
  __m512i acc[FT_S8_TILE][4];
  int i, v;
  FT_UNROLL_C for (i = 0; i < kRows; ++i) {
    from[i] = g->x + g->at[first + i];
    FT_UNROLL_C for (v = 0; v < kPanels; ++v) acc[i][v] = _mm512_loadu_si512(
        lines ? g->channels[panel + v].line_init : g->channels[panel + v].init);
  }
  if (g->added)
    ft_s8_add_given(g, first, panel, kRows, kPanels, acc);
  else if (g->rank > 0 && !g->gain)
    ft_s8_add_side(g, first, panel, kRows, kPanels, acc);
  if (g->pairs == 2)
    ft_s8_add_pairs(g, first, panel, kRows, kPanels, 2, acc);
  else if (g->pairs > 0)
    ft_s8_add_pairs(g, first, panel, kRows, kPanels, g->pairs, acc);
  ft_s8_multiply_tile(g, from, w, panel_bytes, kRows, kPanels, kStreams, acc);
  if (g->gain) ft_s8_add_gain(g, first, panel, kRows, kPanels, acc);
  if (lines) {
    ft_s8_output output = g->output;
    output.zero_point = _mm512_setzero_si512();
    ft_s8_requantize_lines(g, panel, lines, kRows, kPanels, acc);
    ft_s8_store_tile(g, first, panel, kRows, kPanels, &output, acc);
  } else {
    ft_s8_requantize_tile(g, panel, kRows, kPanels, acc);
    ft_s8_store_tile(g, first, panel, kRows, kPanels, &g->output, acc);
  }
}

/* Up to eight rows, a batch of requests, are one tile: weights are read once.
 * Panels that are left for narrower tiles are from the one returned on. */
static int32_t ft_s8_run_wide_tiles(const ft_s8_gemm* g, int32_t panels) {
  int32_t panel = 0, first;
  if (g->rows == 7 || g->rows == 8) return 0;
  for (; panel + 4 <= panels; panel += 4) {
    if (g->rows == 2) {
      ft_s8_tile(g, 0, panel, 2, 4, 0);
    } else if (g->rows <= 4) {
      ft_s8_tile(g, 0, panel, 4, 4, 0);
    } else {
      for (first = 0; first < g->rows; first += 6)
        ft_s8_tile(g, first, panel, 6, 4, 0);
    }
  }
  return panel;
}

static void ft_s8_run_gemm(const ft_s8_gemm* g) {
  const int32_t panels = ft_s8_padded(g->n) / FT_S8_PANEL;
  int32_t panel = 0, first;
  if (g->rows == 1) {
    for (; panel + 4 <= panels; panel += 4) ft_s8_tile(g, 0, panel, 1, 4, 0);
    for (; panel < panels; ++panel) ft_s8_tile(g, 0, panel, 1, 1, 0);
    return;
  }
  panel = ft_s8_run_wide_tiles(g, panels);
  if (g->rows <= 8 && 2 * ft_s8_panel_bytes(g) <= FT_S8_AHEAD)
    for (; panel + 2 <= panels; panel += 2) ft_s8_tile(g, 0, panel, 8, 2, 1);
  for (; panel + 2 <= panels; panel += 2)
    for (first = 0; first < g->rows; first += 8)
      ft_s8_tile(g, first, panel, 8, 2, 0);
  for (; panel < panels; ++panel)
    for (first = 0; first < g->rows; first += FT_S8_TILE)
      ft_s8_tile(g, first, panel, FT_S8_TILE, 1, 0);
}

static inline size_t ft_s8_packed_bytes(int32_t n, int32_t runs, int32_t run) {
  return (size_t)ft_s8_padded(n) * (size_t)runs * (size_t)((run + 3) / 4 * 4);
}

/* Packs w [n, runs, run] and the channels' constants. `bias` may be NULL. */
static void ft_s8_pack_weights(const int8_t* w, int32_t n, int32_t runs,
                               int32_t run, const int32_t* bias,
                               int32_t zero_point, const int32_t* multiplier,
                               const int32_t* shift, const ft_s8_result* result,
                               int8_t* packed, ft_s8_channels* channels) {
  const int32_t run4 = (run + 3) / 4, k4 = runs * run4;
  int32_t c, l;
  memset(packed, 0, ft_s8_packed_bytes(n, runs, run));
  for (c = 0; c < ft_s8_padded(n) / FT_S8_PANEL; ++c)
    ft_s8_clear_channels(&channels[c]);
  for (c = 0; c < n; ++c) {
    const int32_t panel = c / FT_S8_PANEL, i = c % FT_S8_PANEL;
    int8_t* to = packed + (ptrdiff_t)panel * k4 * 64 + i * 4;
    ft_s8_weight_sums sums = {0, 0};
    for (l = 0; l < runs * run; ++l, ++w) {
      const int32_t at = l % run;
      to[(ptrdiff_t)(l / run * run4 + at / 4) * 64 + at % 4] = *w;
      ft_s8_add_weight(&sums, *w);
    }
    ft_s8_set_channel(&channels[panel], i, bias ? bias[c] : 0, sums, zero_point,
                      multiplier[c], shift[c], result);
  }
}

#endif /* FT_KERNELS_QUANT_S8_GEMM_AVX512_H_ */
