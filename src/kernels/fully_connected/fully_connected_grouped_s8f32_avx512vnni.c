/* h = A x in floats, of rows that have an A each: four rows and four ranks are
 * the lanes of one vector of sums, because each sum runs along k alone and is
 * not fused, as the C99 row has it. */
#include "kernels/fully_connected/grouped.h"
#include "kernels/quant/s8_avx512.h"

enum { QUAD = 4, STEP = 16 };

/* Four rows of x with four rows of w each. */
typedef struct {
  const int8_t* x[QUAD];
  const float* w[QUAD][QUAD]; /* [row][rank] */
} quads;

static quads quads_at(const ft_fully_connected_params* p, const ft_args* args,
                      int32_t row, int32_t rank) {
  const int8_t* x = (const int8_t*)args->in[0];
  const float* const* w = (const float* const*)args->in[1];
  quads q;
  int32_t i, j;
  /* Those that are not there are the last one again. */
  for (i = 0; i < QUAD; ++i) {
    const int32_t r = row + i < p->rows ? row + i : p->rows - 1;
    q.x[i] = x + (ptrdiff_t)r * p->k;
    for (j = 0; j < QUAD; ++j) {
      const int32_t n = rank + j < p->n ? rank + j : p->n - 1;
      q.w[i][j] = w[r] + (ptrdiff_t)n * p->k;
    }
  }
  return q;
}

/* Four vectors as rows of 4 x 4 words in each of their lanes, transposed. */
static inline void transpose_in_lanes(__m512 t[QUAD]) {
  const __m512 a = _mm512_unpacklo_ps(t[0], t[1]);
  const __m512 b = _mm512_unpacklo_ps(t[2], t[3]);
  const __m512 c = _mm512_unpackhi_ps(t[0], t[1]);
  const __m512 d = _mm512_unpackhi_ps(t[2], t[3]);
  t[0] = _mm512_shuffle_ps(a, b, 0x44);
  t[1] = _mm512_shuffle_ps(a, b, 0xEE);
  t[2] = _mm512_shuffle_ps(c, d, 0x44);
  t[3] = _mm512_shuffle_ps(c, d, 0xEE);
}

/* Lanes of four vectors as rows of 4 x 4, transposed. */
static inline void transpose_lanes(__m512 t[QUAD]) {
  const __m512 a = _mm512_shuffle_f32x4(t[0], t[1], 0x44);
  const __m512 b = _mm512_shuffle_f32x4(t[2], t[3], 0x44);
  const __m512 c = _mm512_shuffle_f32x4(t[0], t[1], 0xEE);
  const __m512 d = _mm512_shuffle_f32x4(t[2], t[3], 0xEE);
  t[0] = _mm512_shuffle_f32x4(a, b, 0x88);
  t[1] = _mm512_shuffle_f32x4(a, b, 0xDD);
  t[2] = _mm512_shuffle_f32x4(c, d, 0x88);
  t[3] = _mm512_shuffle_f32x4(c, d, 0xDD);
}

/* Products of columns l + 4 q + c of one row: product[c] holds four ranks in
 * lane q. What lies behind column k is 0. */
static inline void multiply_row(const int8_t* x, const float* const w[QUAD],
                                int32_t l, __mmask16 inside, __m512i zero,
                                __m512 product[QUAD]) {
  const __m512 v = _mm512_cvtepi32_ps(_mm512_sub_epi32(
      _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(inside, x + l)), zero));
  int j;
  FT_UNROLL_C for (j = 0; j < QUAD; ++j) product[j] =
      _mm512_maskz_loadu_ps(inside, w[j] + l);
  transpose_in_lanes(product);
  product[0] = _mm512_mul_ps(_mm512_permute_ps(v, 0x00), product[0]);
  product[1] = _mm512_mul_ps(_mm512_permute_ps(v, 0x55), product[1]);
  product[2] = _mm512_mul_ps(_mm512_permute_ps(v, 0xAA), product[2]);
  product[3] = _mm512_mul_ps(_mm512_permute_ps(v, 0xFF), product[3]);
}

/* Sums of four ranks, in a lane for each row. A product of 0 behind column k
 * changes no sum: none is -0, as all begin at 0. */
static __m512 sums_of(const quads* q, int32_t k, int32_t zero_point) {
  const __m512i zero = _mm512_set1_epi32(zero_point);
  __m512 sum = _mm512_setzero_ps();
  int32_t l;
  for (l = 0; l < k; l += STEP) {
    const __mmask16 inside =
        (__mmask16)(k - l >= STEP ? 0xFFFF : (1 << (k - l)) - 1);
    __m512 of_row[QUAD][QUAD], t[QUAD][QUAD];
    int i, c;
    FT_UNROLL_C for (i = 0; i < QUAD; ++i)
        multiply_row(q->x[i], q->w[i], l, inside, zero, of_row[i]);
    FT_UNROLL_C for (c = 0; c < QUAD; ++c) {
      FT_UNROLL_C for (i = 0; i < QUAD; ++i) t[c][i] = of_row[i][c];
      transpose_lanes(t[c]);
    }
    FT_UNROLL_C for (i = 0; i < QUAD; ++i) {
      FT_UNROLL_C for (c = 0; c < QUAD; ++c) sum = _mm512_add_ps(sum, t[c][i]);
    }
  }
  return sum;
}

void ft_fully_connected_grouped_s8f32_avx512vnni(const void* params,
                                                 const ft_args* args) {
  const ft_fully_connected_params* p = (const ft_fully_connected_params*)params;
  const __m512 scale = _mm512_set1_ps(p->x_scale);
  int32_t row, rank, i;
  for (row = 0; row < p->rows; row += QUAD) {
    for (rank = 0; rank < p->n; rank += QUAD) {
      const quads q = quads_at(p, args, row, rank);
      const int32_t ranks = p->n - rank < QUAD ? p->n - rank : QUAD;
      float* y = (float*)args->out[0] + (ptrdiff_t)row * p->n + rank;
      float sums[QUAD * QUAD];
      _mm512_storeu_ps(
          sums, _mm512_mul_ps(sums_of(&q, p->k, p->x_zero_point), scale));
      for (i = 0; i < QUAD && row + i < p->rows; ++i, y += p->n)
        memcpy(y, sums + (ptrdiff_t)i * QUAD, (size_t)ranks * sizeof(float));
    }
  }
}
