/* h = A x of int8 layers whose adapter computes in integers (side_conv2d.h), of
 * the rows that s8_gemm_avx512.h multiplies. A vector holds the products of all
 * ranks with a group of bytes of x, which is loaded once for them: 16 bytes for
 * 4 ranks, 8 for 8, 4 for 16, so that no lane idles. The sums of a rank then
 * lie in neighbouring lanes and are added up at the end. A and B are the
 * adapter's: they are packed for each call. */
#ifndef FT_KERNELS_QUANT_S8_SIDE_AVX512_H_
#define FT_KERNELS_QUANT_S8_SIDE_AVX512_H_

#include "kernels/quant/s8_gemm_avx512.h"

/* Rows whose h is computed at a time: divides a block. */
enum { FT_S8_SIDE_TILE = 8 };

typedef struct {
  int32_t rank;
  int32_t lanes;         /* of h: 4, 8, or rank in whole vectors of 16 */
  const int8_t* a;       /* [rank][row], as given */
  int32_t row, window;   /* bytes of a row of a, and of them not padding */
  int8_t* packed;        /* [vector of lanes][run][group][lane][bytes] */
  int32_t* start;        /* a vector's sums begin so: [vector][16] */
  int32_t* factor;       /* [lanes], in whole vectors */
  int32_t unsigned_zero; /* x_zero_point + 128 */
  int16_t* h;            /* [FT_S8_BLOCK][lanes] */
} ft_s8_side;

static inline int32_t ft_s8_side_lanes(int32_t rank) {
  return rank <= 4 ? 4 : (rank <= 8 ? 8 : (rank + 15) / 16 * 16);
}

/* A's lanes in a vector, and bytes of x that it multiplies. */
static inline int32_t ft_s8_side_width(int32_t lanes) {
  return lanes < 16 ? lanes : 16;
}
static inline int32_t ft_s8_side_group(int32_t lanes) {
  return 64 / ft_s8_side_width(lanes);
}

/* Bytes of packed A for each lane. */
static inline size_t ft_s8_side_packed(int32_t lanes, int32_t runs,
                                       int32_t run) {
  const int32_t group = ft_s8_side_group(lanes);
  return (size_t)runs * (size_t)((run + group - 1) / group * group);
}

/* Bytes of scratch, in whole vectors: packed A, start and factor, h, B. */
static inline size_t ft_s8_side_bytes(int32_t rank, int32_t n, int32_t runs,
                                      int32_t run) {
  const int32_t lanes = ft_s8_side_lanes(rank);
  const size_t whole = (size_t)(lanes + 15) / 16 * 16;
  const size_t a = (size_t)lanes * ft_s8_side_packed(lanes, runs, run);
  const size_t b = (size_t)ft_s8_padded(n) * (size_t)rank * sizeof(int16_t);
  const size_t h = (size_t)lanes * sizeof(int16_t) * FT_S8_BLOCK;
  return a + 2 * whole * sizeof(int32_t) + h + b + 64;
}

/* Row i of a, group by group; `group` is a constant. */
static inline __attribute__((always_inline)) void ft_s8_pack_side_row(
    const ft_s8_side* s, int32_t i, int32_t runs, int32_t run, int8_t* to,
    const int32_t group) {
  const int8_t* from = s->a + (ptrdiff_t)i * s->row;
  int32_t r, l;
  for (r = 0; r < runs; ++r, from += run) {
    for (l = 0; l < run; l += group, to += 64) {
      const int32_t count = run - l < group ? run - l : group;
      const __m128i v =
          _mm_maskz_loadu_epi8((__mmask16)((1 << count) - 1), from + l);
      if (group == 16)
        _mm_storeu_si128((__m128i*)to, v);
      else if (group == 8)
        _mm_storel_epi64((__m128i*)to, v);
      else
        _mm_storeu_si32(to, v);
    }
  }
}

/* Where the sums of a vector begin, lane by lane: what those over unsigned x
 * have too much. */
static inline void ft_s8_start_side(const ft_s8_side* s, const int8_t* a,
                                    ptrdiff_t bytes, int32_t* start) {
  const __m512i zero = _mm512_set1_epi8((char)s->unsigned_zero);
  __m512i even = _mm512_setzero_si512(), odd = even;
  ptrdiff_t l;
  if (s->unsigned_zero != 0) {
    for (l = 0; l + 64 < bytes; l += 128) {
      even = _mm512_dpbusd_epi32(even, zero, _mm512_loadu_si512(a + l));
      odd = _mm512_dpbusd_epi32(odd, zero, _mm512_loadu_si512(a + l + 64));
    }
    if (l < bytes)
      even = _mm512_dpbusd_epi32(even, zero, _mm512_loadu_si512(a + l));
  }
  _mm512_storeu_si512(start, _mm512_sub_epi32(_mm512_setzero_si512(),
                                              _mm512_add_epi32(even, odd)));
}

static inline void ft_s8_pack_side_a(const ft_s8_side* s, int32_t runs,
                                     int32_t run) {
  const int32_t width = ft_s8_side_width(s->lanes), group = 64 / width;
  const ptrdiff_t vector_bytes =
      (ptrdiff_t)width * (ptrdiff_t)ft_s8_side_packed(s->lanes, runs, run);
  int32_t i;
  if (s->rank < s->lanes)
    memset(s->packed, 0, (size_t)(s->lanes / width * vector_bytes));
  for (i = 0; i < s->rank; ++i) {
    int8_t* to = s->packed + i / width * vector_bytes + i % width * group;
    if (group == 16)
      ft_s8_pack_side_row(s, i, runs, run, to, 16);
    else if (group == 8)
      ft_s8_pack_side_row(s, i, runs, run, to, 8);
    else
      ft_s8_pack_side_row(s, i, runs, run, to, 4);
  }
  for (i = 0; i < s->lanes; i += width)
    ft_s8_start_side(s, s->packed + i / width * vector_bytes, vector_bytes,
                     s->start + i / width * 16);
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

/* h of four rows from the sums of four ranks, four lanes each. */
static inline __m256i ft_s8_side_of_four(const __m512i acc[4], __m512i factor) {
  /* A lane of four is a rank of the four rows: ranks are to be next to one
   * another. */
  const __m512i order =
      _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
  const __m512i low = _mm512_add_epi32(_mm512_unpacklo_epi32(acc[0], acc[1]),
                                       _mm512_unpackhi_epi32(acc[0], acc[1]));
  const __m512i high = _mm512_add_epi32(_mm512_unpacklo_epi32(acc[2], acc[3]),
                                        _mm512_unpackhi_epi32(acc[2], acc[3]));
  const __m512i sum = _mm512_add_epi32(_mm512_unpacklo_epi64(low, high),
                                       _mm512_unpackhi_epi64(low, high));
  return ft_s8_scale_side(_mm512_permutexvar_epi32(order, sum), factor);
}

/* h of two rows from the sums of eight ranks, two lanes each. */
static inline __m256i ft_s8_side_of_two(__m512i a, __m512i b, __m512i factor) {
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12,
                                        10, 8, 6, 4, 2, 0);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  return ft_s8_scale_side(
      _mm512_add_epi32(_mm512_permutex2var_epi32(a, even, b),
                       _mm512_permutex2var_epi32(a, odd, b)),
      factor);
}

/* Sums of a tile to h of rows from `first` on, lanes from `lane` on; `group` is
 * a constant. */
static inline __attribute__((always_inline)) void ft_s8_store_side(
    const ft_s8_side* s, int32_t first, int32_t lane, const int32_t group,
    const __m512i acc[FT_S8_SIDE_TILE]) {
  int16_t* h = s->h + (ptrdiff_t)first * s->lanes + lane;
  const int32_t* factors = s->factor + lane;
  int32_t i;
  if (group == 16) {
    const __m512i factor =
        _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i*)factors));
    FT_UNROLL_C for (i = 0; i < FT_S8_SIDE_TILE; i += 4) _mm256_storeu_si256(
        (__m256i*)(h + i * 4), ft_s8_side_of_four(acc + i, factor));
  } else if (group == 8) {
    const __m512i factor =
        _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i*)factors));
    FT_UNROLL_C for (i = 0; i < FT_S8_SIDE_TILE; i += 2) _mm256_storeu_si256(
        (__m256i*)(h + i * 8), ft_s8_side_of_two(acc[i], acc[i + 1], factor));
  } else {
    const __m512i factor = _mm512_loadu_si512(factors);
    FT_UNROLL_C for (i = 0; i < FT_S8_SIDE_TILE; ++i) _mm256_storeu_si256(
        (__m256i*)(h + i * s->lanes), ft_s8_scale_side(acc[i], factor));
  }
}

/* The same `group` bytes, a constant, for all lanes. */
static inline __attribute__((always_inline)) __m512i ft_s8_repeat_group(
    const uint8_t* x, const int32_t group) {
  int64_t eight;
  int32_t four;
  if (group == 16)
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i*)x));
  if (group == 8) {
    memcpy(&eight, x, 8);
    return _mm512_set1_epi64(eight);
  }
  memcpy(&four, x, 4);
  return _mm512_set1_epi32(four);
}

/* h of rows first .. first + FT_S8_SIDE_TILE, a vector of lanes from `lane`;
 * `group` is a constant. No loop is empty: told so, compilers keep the sums
 * where they are. */
static inline __attribute__((always_inline)) void ft_s8_side_tile(
    const ft_s8_gemm* g, const ft_s8_side* s, int32_t first, int32_t lane,
    const int32_t group) {
  const int32_t runs = g->runs_y * g->runs_x, run = s->window / runs;
  const int8_t* a =
      s->packed + (ptrdiff_t)lane * runs * ((run + group - 1) / group * group);
  const uint8_t* from[FT_S8_SIDE_TILE];
  __m512i acc[FT_S8_SIDE_TILE];
  int32_t iy = 0, ix, i;
  FT_UNROLL_C for (i = 0; i < FT_S8_SIDE_TILE; ++i) {
    from[i] = g->x + g->at[first + i];
    acc[i] = _mm512_loadu_si512(s->start + lane);
  }
  do {
    ix = 0;
    do {
      ptrdiff_t l = (ptrdiff_t)iy * g->step_y + (ptrdiff_t)ix * g->step_x;
      const ptrdiff_t end = l + run;
      do {
        const __m512i weights = _mm512_loadu_si512(a);
        FT_UNROLL_C for (i = 0; i < FT_S8_SIDE_TILE; ++i) acc[i] =
            _mm512_dpbusd_epi32(acc[i], ft_s8_repeat_group(from[i] + l, group),
                                weights);
        a += 64;
        l += group;
      } while (l < end);
    } while (++ix < g->runs_x);
  } while (++iy < g->runs_y);
  ft_s8_store_side(s, first, lane, group, acc);
}

/* h of all rows of `g`: functions of their own, as sums and addresses need all
 * registers. */
#define FT_S8_SIDE_TILES(name, group)                               \
  static __attribute__((noinline)) void name(const ft_s8_gemm* g,   \
                                             const ft_s8_side* s) { \
    int32_t first, lane;                                            \
    for (lane = 0; lane < s->lanes; lane += 64 / (group))           \
      for (first = 0; first < g->rows; first += FT_S8_SIDE_TILE)    \
        ft_s8_side_tile(g, s, first, lane, group);                  \
  }
FT_S8_SIDE_TILES(ft_s8_side_of_4_ranks, 16)
FT_S8_SIDE_TILES(ft_s8_side_of_8_ranks, 8)
FT_S8_SIDE_TILES(ft_s8_side_of_16_ranks, 4)

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
  if (ft_s8_side_is_one(g))
    ft_s8_side_of_one(g->x + g->at[0], s, s->h);
  else if (s->lanes == 4)
    ft_s8_side_of_4_ranks(g, s);
  else if (s->lanes == 8)
    ft_s8_side_of_8_ranks(g, s);
  else
    ft_s8_side_of_16_ranks(g, s);
}

#endif /* FT_KERNELS_QUANT_S8_SIDE_AVX512_H_ */
