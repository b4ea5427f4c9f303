/* h = A x of int8 layers whose adapter computes in integers (side_conv2d.h), of
 * the rows that s8_gemm_avx512.h multiplies: ranks are lanes, so that a group
 * of four bytes of x is loaded once for eight or sixteen of them. A and B are
 * the adapter's: they are packed for each call. */
#ifndef FT_KERNELS_QUANT_S8_SIDE_AVX512_H_
#define FT_KERNELS_QUANT_S8_SIDE_AVX512_H_

#include "kernels/quant/s8_gemm_avx512.h"

/* Rows whose h is computed at a time: divides a block. */
enum { FT_S8_SIDE_TILE = 8 };

typedef struct {
  int32_t rank;
  int32_t lanes;           /* of h: 4, 8, or rank in whole vectors of 16 */
  const int8_t* a;         /* [rank][row], as given */
  int32_t row, window;     /* bytes of a row of a, and of them not padding */
  int8_t* packed;          /* [vector of lanes][run][run4][lane][4] */
  int32_t *start, *factor; /* [lanes] */
  int32_t unsigned_zero;   /* x_zero_point + 128 */
  int16_t* h;              /* [FT_S8_BLOCK][lanes] */
} ft_s8_side;

static inline int32_t ft_s8_side_lanes(int32_t rank) {
  return rank <= 4 ? 4 : (rank <= 8 ? 8 : (rank + 15) / 16 * 16);
}

/* A's lanes in a vector: half of one is the least that pays. */
static inline int32_t ft_s8_side_width(int32_t lanes) {
  return lanes < 16 ? 8 : 16;
}

/* Bytes of scratch, in whole vectors: packed A, start and factor, h, B. */
static inline size_t ft_s8_side_bytes(int32_t rank, int32_t n, int32_t runs,
                                      int32_t run) {
  const size_t lanes = (size_t)(rank <= 8 ? 8 : ft_s8_side_lanes(rank));
  const size_t a = lanes * (size_t)runs * (size_t)((run + 3) / 4 * 4);
  const size_t b = (size_t)ft_s8_padded(n) * (size_t)rank * sizeof(int16_t);
  const size_t h = lanes * sizeof(int16_t) * FT_S8_BLOCK;
  return a + 2 * lanes * sizeof(int32_t) + h + b + 64;
}

/* A group of four bytes, of which a run may have fewer. */
static inline void ft_s8_side_put(const int8_t* from, int32_t count,
                                  int8_t* to) {
  int32_t i;
  if (count >= 4) {
    memcpy(to, from, 4);
    return;
  }
  for (i = 0; i < count; ++i) to[i] = from[i];
}

static inline void ft_s8_pack_side_a(const ft_s8_side* s, int32_t runs,
                                     int32_t run) {
  const int32_t run4 = (run + 3) / 4;
  const int32_t width = ft_s8_side_width(s->lanes);
  const ptrdiff_t vector_bytes = (ptrdiff_t)runs * run4 * width * 4;
  int32_t i, r, l;
  memset(s->packed, 0, (size_t)((s->lanes + width - 1) / width * vector_bytes));
  for (i = 0; i < s->rank; ++i) {
    const int8_t* from = s->a + (ptrdiff_t)i * s->row;
    int8_t* to = s->packed + i / width * vector_bytes + i % width * 4;
    for (r = 0; r < runs; ++r, from += run)
      for (l = 0; l < run; l += 4, to += width * 4)
        ft_s8_side_put(from + l, run - l, to);
  }
}

/* What sums over unsigned x have too much. */
static inline void ft_s8_set_side_start(const ft_s8_side* s, int32_t window) {
  const __m512i zero = _mm512_set1_epi8((char)s->unsigned_zero);
  int32_t i, l;
  for (i = 0; i < s->lanes || i < 8; ++i) s->start[i] = 0;
  for (i = 0; i < s->rank; ++i) {
    const int8_t* a = s->a + (ptrdiff_t)i * s->row;
    __m512i sum = _mm512_setzero_si512();
    for (l = 0; l < window; l += 64)
      sum = _mm512_dpbusd_epi32(
          sum, zero,
          _mm512_maskz_loadu_epi8(ft_first_bytes(window - l), a + l));
    s->start[i] = -_mm512_reduce_add_epi32(sum);
  }
}

/* Columns 0 and 1 of 16 rows of two words, or of `left`. */
static inline void ft_s8_two_columns(const int16_t* b, int32_t left,
                                     __m512i column[2]) {
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12,
                                        10, 8, 6, 4, 2, 0);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  const int32_t words = 2 * left;
  const __mmask16 low = (__mmask16)(words >= 16 ? 0xFFFF : (1 << words) - 1);
  const __mmask16 high =
      (__mmask16)(words >= 32 ? 0xFFFF
                              : (words > 16 ? (1 << (words - 16)) - 1 : 0));
  const __m512i x = _mm512_maskz_loadu_epi32(low, b);
  const __m512i y = _mm512_maskz_loadu_epi32(high, b + 32);
  column[0] = _mm512_permutex2var_epi32(x, even, y);
  column[1] = _mm512_permutex2var_epi32(x, odd, y);
}

/* b [n][pairs] -> [pairs][padded n], of pairs of int16 */
static inline void ft_s8_pack_side_b(const int16_t* b, int32_t n, int32_t pairs,
                                     int32_t* out) {
  const int32_t padded = ft_s8_padded(n);
  int32_t c;
  if (pairs != 2) {
    ft_transpose_words(b, n, pairs, out);
    return;
  }
  for (c = 0; c < n; c += FT_S8_PANEL) {
    __m512i column[2];
    ft_s8_two_columns(b + 4 * (ptrdiff_t)c, n - c, column);
    _mm512_storeu_si512(out + c, column[0]);
    _mm512_storeu_si512(out + padded + c, column[1]);
  }
}

/* (sum * factor) / 2^32, halves up, saturated to int16. */
static inline __m256i ft_s8_scale_side(__m512i sum, __m512i factor) {
  const __m512i half = _mm512_set1_epi64((int64_t)1 << 31);
  const __m512i even = _mm512_srli_epi64(
      _mm512_add_epi64(_mm512_mul_epi32(sum, factor), half), 32);
  const __m512i odd =
      _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(sum, 32),
                                        _mm512_srli_epi64(factor, 32)),
                       half);
  return _mm512_cvtsepi32_epi16(_mm512_mask_mov_epi32(even, 0xAAAA, odd));
}

/* Sums of eight lanes, of which h has four or all. */
static inline void ft_s8_store_narrow_side(const ft_s8_side* s, int32_t first,
                                           const __m256i acc[FT_S8_SIDE_TILE]) {
  int32_t i;
  if (s->lanes == 4) {
    const __m512i factor =
        _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i*)s->factor));
    FT_UNROLL_C for (i = 0; i < FT_S8_SIDE_TILE; i += 4) {
      const __m256i a = _mm256_permute2x128_si256(acc[i], acc[i + 1], 0x20);
      const __m256i b = _mm256_permute2x128_si256(acc[i + 2], acc[i + 3], 0x20);
      _mm256_storeu_si256(
          (__m256i*)(s->h + (first + i) * 4),
          ft_s8_scale_side(_mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1),
                           factor));
    }
  } else {
    const __m512i factor =
        _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i*)s->factor));
    FT_UNROLL_C for (i = 0; i < FT_S8_SIDE_TILE; i += 2) _mm256_storeu_si256(
        (__m256i*)(s->h + (first + i) * 8),
        ft_s8_scale_side(
            _mm512_inserti64x4(_mm512_castsi256_si512(acc[i]), acc[i + 1], 1),
            factor));
  }
}

/* Rows first .. first + FT_S8_SIDE_TILE; eight lanes. */
static inline void ft_s8_narrow_side_tile(const ft_s8_gemm* g,
                                          const ft_s8_side* s, int32_t first) {
  const int8_t* a = s->packed;
  const uint8_t* from[FT_S8_SIDE_TILE];
  __m256i acc[FT_S8_SIDE_TILE];
  int32_t iy, ix, i;
  ptrdiff_t l;
  FT_UNROLL_C for (i = 0; i < FT_S8_SIDE_TILE; ++i) {
    from[i] = g->x + g->at[first + i];
    acc[i] = _mm256_loadu_si256((const __m256i*)s->start);
  }
  for (iy = 0; iy < g->runs_y; ++iy) {
    for (ix = 0; ix < g->runs_x; ++ix) {
      const ptrdiff_t begin =
          (ptrdiff_t)iy * g->step_y + (ptrdiff_t)ix * g->step_x;
      const ptrdiff_t end = begin + 4 * (ptrdiff_t)g->run4;
      FT_UNROLL_4_C for (l = begin; l < end; l += 4, a += 32) {
        const __m256i weights = _mm256_loadu_si256((const __m256i*)a);
        FT_UNROLL_C for (i = 0; i < FT_S8_SIDE_TILE; ++i) {
          int32_t four;
          memcpy(&four, from[i] + l, 4);
          acc[i] =
              _mm256_dpbusd_epi32(acc[i], _mm256_set1_epi32(four), weights);
        }
      }
    }
  }
  ft_s8_store_narrow_side(s, first, acc);
}

/* The same of sixteen lanes from `lane`. */
static inline void ft_s8_side_tile(const ft_s8_gemm* g, const ft_s8_side* s,
                                   int32_t first, int32_t lane) {
  const int8_t* a =
      s->packed + (ptrdiff_t)lane * g->runs_y * g->runs_x * g->run4 * 4;
  const __m512i factor = _mm512_loadu_si512(s->factor + lane);
  const uint8_t* from[FT_S8_SIDE_TILE];
  __m512i acc[FT_S8_SIDE_TILE];
  int32_t iy, ix, i;
  ptrdiff_t l;
  FT_UNROLL_C for (i = 0; i < FT_S8_SIDE_TILE; ++i) {
    from[i] = g->x + g->at[first + i];
    acc[i] = _mm512_loadu_si512(s->start + lane);
  }
  for (iy = 0; iy < g->runs_y; ++iy) {
    for (ix = 0; ix < g->runs_x; ++ix) {
      const ptrdiff_t begin =
          (ptrdiff_t)iy * g->step_y + (ptrdiff_t)ix * g->step_x;
      const ptrdiff_t end = begin + 4 * (ptrdiff_t)g->run4;
      FT_UNROLL_4_C for (l = begin; l < end; l += 4, a += 64) {
        const __m512i weights = _mm512_loadu_si512(a);
        FT_UNROLL_C for (i = 0; i < FT_S8_SIDE_TILE; ++i) {
          int32_t four;
          memcpy(&four, from[i] + l, 4);
          acc[i] =
              _mm512_dpbusd_epi32(acc[i], _mm512_set1_epi32(four), weights);
        }
      }
    }
  }
  FT_UNROLL_C for (i = 0; i < FT_S8_SIDE_TILE; ++i)
      _mm256_storeu_si256((__m256i*)(s->h + (first + i) * s->lanes + lane),
                          ft_s8_scale_side(acc[i], factor));
}

/* h of one row that is one run, with A as it is given: a rank at a time. */
static inline void ft_s8_side_of_one(const uint8_t* x, const ft_s8_side* s,
                                     int16_t* h) {
  const __m512i zero = _mm512_set1_epi8((char)s->unsigned_zero);
  int32_t i, l;
  for (i = 0; i < s->rank; ++i) {
    const int8_t* a = s->a + (ptrdiff_t)i * s->row;
    __m512i sum = _mm512_setzero_si512(), too_much = sum;
    int64_t scaled;
    for (l = 0; l < s->window; l += 64) {
      const __mmask64 inside = ft_first_bytes(s->window - l);
      const __m512i weights = _mm512_maskz_loadu_epi8(inside, a + l);
      sum = _mm512_dpbusd_epi32(sum, _mm512_maskz_loadu_epi8(inside, x + l),
                                weights);
      too_much = _mm512_dpbusd_epi32(too_much, zero, weights);
    }
    scaled = (int64_t)_mm512_reduce_add_epi32(_mm512_sub_epi32(sum, too_much)) *
             s->factor[i];
    scaled = (scaled + ((int64_t)1 << 31)) >> 32;
    h[i] = (int16_t)(scaled > INT16_MAX
                         ? INT16_MAX
                         : (scaled < INT16_MIN ? INT16_MIN : scaled));
  }
}

/* What a row's own B [left][pairs] adds to 16 channels, or to `left`. */
static inline __m512i ft_s8_own_pairs(const int16_t* b, int32_t left,
                                      int32_t pairs, const int16_t* h) {
  __m512i sum = _mm512_setzero_si512(), column[4];
  int32_t i, k, count;
  for (i = 0; i < pairs; i += count) {
    if (pairs == 2) {
      ft_s8_two_columns(b, left, column);
      count = 2;
    } else {
      count = ft_next_columns((const int32_t*)(const void*)b, left, pairs, i,
                              column);
    }
    for (k = 0; k < count; ++k) {
      int32_t two;
      memcpy(&two, h + 2 * (i + k), 4);
      sum = _mm512_dpwssd_epi32(sum, _mm512_set1_epi32(two), column[k]);
    }
  }
  return _mm512_srai_epi32(sum, FT_SIDE_BITS);
}

static inline int ft_s8_side_is_one(const ft_s8_gemm* g) {
  return g->rows == 1 && g->runs_y == 1 && g->runs_x == 1;
}

/* h of all rows of `g`. */
static void ft_s8_side_rows(const ft_s8_gemm* g, const ft_s8_side* s) {
  int32_t first, lane;
  if (ft_s8_side_is_one(g)) {
    ft_s8_side_of_one(g->x + g->at[0], s, s->h);
    return;
  }
  for (first = 0; first < g->rows; first += FT_S8_SIDE_TILE) {
    if (s->lanes <= 8) {
      ft_s8_narrow_side_tile(g, s, first);
      continue;
    }
    for (lane = 0; lane < s->lanes; lane += 16)
      ft_s8_side_tile(g, s, first, lane);
  }
}

#endif /* FT_KERNELS_QUANT_S8_SIDE_AVX512_H_ */
