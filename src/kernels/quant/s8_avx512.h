/* Requantization and copies of the AVX-512 rows, bit-equal to fixed_point.h and
 * low_rank.h. Only for files that are compiled with AVX-512 VNNI. */
#ifndef FT_KERNELS_QUANT_S8_AVX512_H_
#define FT_KERNELS_QUANT_S8_AVX512_H_

#include <immintrin.h>
#include <string.h>

#include "kernels/quant/s8_channels.h"

#ifdef FT_SANITIZED /* checks in each copy would take a minute to compile */
#define FT_UNROLL_C
#else
#define FT_UNROLL_C _Pragma("GCC unroll 16")
#endif
#define FT_UNROLL_4_C _Pragma("GCC unroll 4")

static inline int ft_has_avx512vnni(void) {
  return __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}

/* round(a * m / 2^31): even and odd lanes as 64-bit products. `m_odd` holds the
 * multipliers of the odd lanes in its even ones. */
static inline __m512i ft_high_mul_512(__m512i a, __m512i m, __m512i m_odd) {
  const __m512i nudge = _mm512_set1_epi64(1 << 30);
  __m512i even = _mm512_mul_epi32(a, m);
  __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(a, 32), m_odd);
  even = _mm512_srli_epi64(_mm512_add_epi64(even, nudge), 31);
  odd = _mm512_slli_epi64(_mm512_add_epi64(odd, nudge), 1);
  return _mm512_mask_mov_epi32(even, 0xAAAA, odd);
}

/* Shift right by `right`, half away from zero, any `right`. */
static inline __m512i ft_shift_right_512(__m512i x, __m512i right) {
  const __m512i one = _mm512_set1_epi32(1);
  const __m512i mask = _mm512_sub_epi32(_mm512_sllv_epi32(one, right), one);
  const __m512i threshold =
      _mm512_add_epi32(_mm512_srli_epi32(mask, 1), _mm512_srli_epi32(x, 31));
  const __mmask16 up =
      _mm512_cmpgt_epi32_mask(_mm512_and_si512(x, mask), threshold);
  const __m512i y = _mm512_srav_epi32(x, right);
  return _mm512_mask_add_epi32(y, up, y, one);
}

/* Channels with c->is_plain. */
static inline __m512i ft_requantize_plain_512(__m512i acc,
                                              const ft_s8_channels* c) {
  /* One int32 further: the multipliers of odd lanes, and half[0] unused. */
  const __m512i m_odd = _mm512_loadu_si512(c->multiplier + 1);
  /* x + half - (x < 0) may pass INT32_MAX only where the result saturates int8
   * by far, because right <= 22. */
  const __m512i half = _mm512_loadu_si512(c->half);
  const __m512i top = _mm512_sub_epi32(_mm512_set1_epi32(INT32_MAX), half);
  const __m512i x =
      ft_high_mul_512(acc, _mm512_loadu_si512(c->multiplier), m_odd);
  const __m512i floor_x =
      _mm512_min_epi32(_mm512_add_epi32(x, _mm512_srai_epi32(x, 31)), top);
  return _mm512_srav_epi32(_mm512_add_epi32(floor_x, half),
                           _mm512_loadu_si512(c->right));
}

static inline __m512i ft_requantize_512(__m512i acc, const ft_s8_channels* c) {
  if (c->is_plain) return ft_requantize_plain_512(acc, c);
  acc = _mm512_sllv_epi32(acc, _mm512_loadu_si512(c->left));
  return ft_shift_right_512(
      ft_high_mul_512(acc, _mm512_loadu_si512(c->multiplier),
                      _mm512_loadu_si512(c->multiplier + 1)),
      _mm512_loadu_si512(c->right));
}

/* Exactly floor, see requant_lines.h. */
enum { FT_DOWN = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC };

/* Channels with c->is_line, from sums that began at c->line_init; the zero
 * point is in the result. */
static inline __m512i ft_requantize_line_512(__m512i x,
                                             const ft_s8_channels* c) {
  const __mmask16 above =
      _mm512_cmpgt_epi32_mask(x, _mm512_loadu_si512(c->split));
  __m512 q = _mm512_cvtepi32_ps(x);
  q = _mm512_mask_fmadd_round_ps(q, above, _mm512_loadu_ps(c->scale[1]),
                                 _mm512_loadu_ps(c->offset[1]), FT_DOWN);
  q = _mm512_mask_fmadd_round_ps(q, (__mmask16)~above,
                                 _mm512_loadu_ps(c->scale[0]),
                                 _mm512_loadu_ps(c->offset[0]), FT_DOWN);
  return _mm512_cvt_roundps_epi32(q, FT_DOWN);
}

/* The same for channels with c->is_one_line. */
static inline __m512i ft_requantize_one_line_512(__m512i x,
                                                 const ft_s8_channels* c) {
  const __m512 q =
      _mm512_fmadd_round_ps(_mm512_cvtepi32_ps(x), _mm512_loadu_ps(c->scale[0]),
                            _mm512_loadu_ps(c->offset[0]), FT_DOWN);
  return _mm512_cvt_roundps_epi32(q, FT_DOWN);
}

/* How many lines the channels of some panels need; 0: they have none. */
static inline int ft_s8_num_lines(const ft_s8_channels* c, int32_t panels) {
  int32_t v, is_line = 1, is_one = 1;
  for (v = 0; v < panels; ++v) {
    is_line &= c[v].is_line;
    is_one &= c[v].is_one_line;
  }
  return is_line ? 2 - is_one : 0;
}

/* ft_requantize_once of the low 32 bits of eight 64-bit lanes; `total` lies in
 * the same lanes. Results lie in the low halves. */
static inline __m512i ft_round_once_512(__m512i a, __m512i m, __m512i total) {
  const __m512i one = _mm512_set1_epi64(1);
  const __m512i limit = _mm512_set1_epi64(1 << 30);
  const __m512i half = _mm512_sllv_epi64(one, _mm512_sub_epi64(total, one));
  const __m512i product = _mm512_mul_epi32(a, m);
  const __m512i away = _mm512_srai_epi64(product, 63); /* -1 below zero */
  const __m512i q = _mm512_srav_epi64(
      _mm512_add_epi64(product, _mm512_add_epi64(half, away)), total);
  return _mm512_max_epi64(_mm512_min_epi64(q, limit),
                          _mm512_set1_epi64(-(1 << 30)));
}

static inline __m512i ft_requantize_once_512(__m512i acc,
                                             const ft_s8_channels* c) {
  const __m512i low_half = _mm512_set1_epi64(0xFFFFFFFF);
  const __m512i m = _mm512_loadu_si512(c->multiplier);
  const __m512i total = _mm512_add_epi32(
      _mm512_set1_epi32(31), _mm512_sub_epi32(_mm512_loadu_si512(c->right),
                                              _mm512_loadu_si512(c->left)));
  const __m512i even =
      ft_round_once_512(acc, m, _mm512_and_si512(total, low_half));
  const __m512i odd =
      ft_round_once_512(_mm512_srli_epi64(acc, 32), _mm512_srli_epi64(m, 32),
                        _mm512_srli_epi64(total, 32));
  return _mm512_mask_mov_epi32(even, 0xAAAA, _mm512_slli_epi64(odd, 32));
}

/* low_rank.h's ft_round_to_acc: of NaN, max gives its second operand. */
static inline __m512i ft_round_to_acc_512(__m512 v) {
  const __m512 limit = _mm512_set1_ps(1073741824.0f);
  const __m512 t = _mm512_max_ps(_mm512_add_ps(v, _mm512_set1_ps(0.5f)),
                                 _mm512_set1_ps(-1073741824.0f));
  return _mm512_cvt_roundps_epi32(_mm512_min_ps(t, limit), FT_DOWN);
}

typedef struct {
  __m512i zero_point; /* int16 lanes */
  __m512i low, high;  /* int8 lanes */
} ft_s8_output;

static inline ft_s8_output ft_s8_output_of(int32_t zero_point, int32_t q_low,
                                           int32_t q_high) {
  ft_s8_output o;
  o.zero_point = _mm512_set1_epi16((int16_t)zero_point);
  o.low = _mm512_set1_epi8((int8_t)q_low);
  o.high = _mm512_set1_epi8((int8_t)q_high);
  return o;
}

/* Four vectors of requantized int32 to 64 clamped int8. Each 16 bytes of the
 * result hold 4 values of v0, v1, v2 and v3. */
static inline __m512i ft_narrow_512(const __m512i v[4], const ft_s8_output* o) {
  const __m512i lo =
      _mm512_adds_epi16(_mm512_packs_epi32(v[0], v[1]), o->zero_point);
  const __m512i hi =
      _mm512_adds_epi16(_mm512_packs_epi32(v[2], v[3]), o->zero_point);
  const __m512i q = _mm512_packs_epi16(lo, hi);
  return _mm512_min_epi8(_mm512_max_epi8(q, o->low), o->high);
}

/* Columns 0 .. 3 of 16 rows of `r` words as four vectors. */
static inline void ft_columns_of_16(const int32_t* from, int32_t r,
                                    __m512i column[4]) {
  __m512i t[4], a, b, c, d;
  int i;
  FT_UNROLL_C for (i = 0; i < 4; ++i) {
    const int32_t* row = from + (ptrdiff_t)i * r;
    t[i] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i*)row));
    t[i] = _mm512_inserti32x4(
        t[i], _mm_loadu_si128((const __m128i*)(row + 4 * r)), 1);
    t[i] = _mm512_inserti32x4(
        t[i], _mm_loadu_si128((const __m128i*)(row + 8 * r)), 2);
    t[i] = _mm512_inserti32x4(
        t[i], _mm_loadu_si128((const __m128i*)(row + 12 * r)), 3);
  }
  a = _mm512_unpacklo_epi32(t[0], t[1]);
  b = _mm512_unpacklo_epi32(t[2], t[3]);
  c = _mm512_unpackhi_epi32(t[0], t[1]);
  d = _mm512_unpackhi_epi32(t[2], t[3]);
  column[0] = _mm512_unpacklo_epi64(a, b);
  column[1] = _mm512_unpackhi_epi64(a, b);
  column[2] = _mm512_unpacklo_epi64(c, d);
  column[3] = _mm512_unpackhi_epi64(c, d);
}

/* Words from [n, r] to [r][n in whole vectors, 0 behind n]. */
static inline void ft_transpose_words(const void* words, int32_t n, int32_t r,
                                      void* transposed) {
  const int32_t* from = (const int32_t*)words;
  int32_t* to = (int32_t*)transposed;
  const int32_t padded = (n + 15) / 16 * 16;
  const int32_t fast = r % 4 == 0 ? n / 16 * 16 : 0;
  int32_t c, i;
  for (c = 0; c < fast; c += 16) {
    for (i = 0; i < r; i += 4) {
      __m512i column[4];
      int k;
      ft_columns_of_16(from + (ptrdiff_t)c * r + i, r, column);
      FT_UNROLL_C for (k = 0; k < 4; ++k)
          _mm512_storeu_si512(to + (ptrdiff_t)(i + k) * padded + c, column[k]);
    }
  }
  for (i = 0; i < r; ++i)
    for (c = fast; c < padded; ++c)
      to[(ptrdiff_t)i * padded + c] = c < n ? from[(ptrdiff_t)c * r + i] : 0;
}

/* Columns i and up to i + 3 of the first 16 rows, or of `left`, of words
 * [left][r]; gives how many they are. */
static inline int32_t ft_next_columns(const int32_t* from, int32_t left,
                                      int32_t r, int32_t i, __m512i column[4]) {
  const __m512i lane =
      _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __mmask16 mask = (__mmask16)(left >= 16 ? 0xFFFF : (1 << left) - 1);
  if (left >= 16 && r - i >= 4) {
    ft_columns_of_16(from + i, r, column);
    return 4;
  }
  column[0] = _mm512_mask_i32gather_epi32(
      _mm512_setzero_si512(), mask,
      _mm512_mullo_epi32(lane, _mm512_set1_epi32(r)), from + i, 4);
  return 1;
}

static inline __mmask64 ft_first_bytes(int32_t count) {
  return count >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << count) - 1;
}

/* out[i] = x[i] + 128 as unsigned. */
static inline void ft_copy_unsigned(const int8_t* x, int32_t count,
                                    uint8_t* out) {
  const __m512i sign = _mm512_set1_epi8((char)0x80);
  __mmask64 mask;
  for (; count >= 64; count -= 64, x += 64, out += 64)
    _mm512_storeu_si512(out, _mm512_xor_si512(_mm512_loadu_si512(x), sign));
  if (count <= 0) return;
  mask = ft_first_bytes(count);
  _mm512_mask_storeu_epi8(
      out, mask, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, x), sign));
}

/* memset() of few bytes. */
static inline void ft_fill_bytes(uint8_t* out, int32_t count, uint8_t value) {
  const __m512i v = _mm512_set1_epi8((char)value);
  for (; count >= 64; count -= 64, out += 64) _mm512_storeu_si512(out, v);
  if (count > 0) _mm512_mask_storeu_epi8(out, ft_first_bytes(count), v);
}

#endif /* FT_KERNELS_QUANT_S8_AVX512_H_ */
