/* int8 addition and subtraction of equal shapes: linear_sum.h, 64 at a time. */
#include "kernels/binary/linear_sum.h"
#include "kernels/quant/s8_avx512.h"

typedef struct {
  __m512i high, low; /* int16 factors of a and b in turn */
  __m512i offset;
  __m128i right;
} line;

static int32_t pair_of(int32_t a, int32_t b) {
  return (int32_t)(((uint32_t)b << 16) | ((uint32_t)a & 0xFFFF));
}

static line line_of(const ft_linear_sum* s) {
  line l;
  l.high = _mm512_set1_epi32(pair_of(s->a_high, s->b_high));
  l.low = _mm512_set1_epi32(pair_of(s->a_low, s->b_low));
  l.offset = _mm512_set1_epi32(s->offset);
  l.right = _mm_cvtsi32_si128(s->right);
  return l;
}

/* `pairs` holds 256 a and 256 b as int16. */
static inline __m512i sum_of(__m512i pairs, const line* l) {
  const __m512i low = _mm512_srai_epi32(_mm512_madd_epi16(pairs, l->low), 15);
  const __m512i sum =
      _mm512_dpwssd_epi32(_mm512_add_epi32(low, l->offset), pairs, l->high);
  return _mm512_sra_epi32(sum, l->right);
}

/* Interleaving and narrowing both stay in groups of 16 bytes and undo each
 * other. */
static inline __m512i add_64(__m512i a, __m512i b, const line* l,
                             const ft_s8_output* output) {
  const __m512i zero = _mm512_setzero_si512();
  const __m512i lower = _mm512_unpacklo_epi8(a, b);
  const __m512i upper = _mm512_unpackhi_epi8(a, b);
  __m512i v[4];
  v[0] = sum_of(_mm512_unpacklo_epi8(zero, lower), l);
  v[1] = sum_of(_mm512_unpackhi_epi8(zero, lower), l);
  v[2] = sum_of(_mm512_unpacklo_epi8(zero, upper), l);
  v[3] = sum_of(_mm512_unpackhi_epi8(zero, upper), l);
  return ft_narrow_512(v, output);
}

int ft_binary_s8_avx512vnni_available(void) { return ft_has_avx512vnni(); }

void ft_binary_s8_avx512vnni(const void* params, const ft_args* args) {
  const ft_binary_params* p = (const ft_binary_params*)params;
  const int8_t* a = (const int8_t*)args->in[0];
  const int8_t* b = (const int8_t*)args->in[1];
  int8_t* y = (int8_t*)args->out[0];
  const int32_t n = p->pair.dims[0];
  const line l = line_of((const ft_linear_sum*)args->aux[0]);
  const ft_s8_output output =
      ft_s8_output_of(p->y_zero_point, p->q_low, p->q_high);
  __mmask64 rest;
  int32_t i;
  for (i = 0; i + 64 <= n; i += 64)
    _mm512_storeu_si512(y + i, add_64(_mm512_loadu_si512(a + i),
                                      _mm512_loadu_si512(b + i), &l, &output));
  if (i == n) return;
  rest = ft_first_bytes(n - i);
  _mm512_mask_storeu_epi8(
      y + i, rest,
      add_64(_mm512_maskz_loadu_epi8(rest, a + i),
             _mm512_maskz_loadu_epi8(rest, b + i), &l, &output));
}
