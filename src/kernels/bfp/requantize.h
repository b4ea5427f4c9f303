/* Accumulators of neighbouring channels to int8, in a loop without branches. */
#ifndef FT_KERNELS_BFP_REQUANTIZE_H_
#define FT_KERNELS_BFP_REQUANTIZE_H_

#include "kernels/conv2d/conv_params.h"
#include "kernels/quant/fixed_point.h"

#ifdef FT_BFP_AVX512
#include "kernels/quant/s8_avx512.h"

/* As below, 16 channels at a time. */
static inline void ft_requantize_run(const ft_conv_params* p,
                                     const int32_t* acc,
                                     const int32_t* multiplier,
                                     const int32_t* shift, int32_t count,
                                     int8_t* y) {
  const __m512i none = _mm512_setzero_si512();
  const __m512i zero = _mm512_set1_epi32(p->y_zero_point);
  const __m512i low = _mm512_set1_epi32(p->q_low);
  const __m512i high = _mm512_set1_epi32(p->q_high);
  int32_t i;
  for (i = 0; i < count; i += 16) {
    const int32_t rest = count - i;
    const __mmask16 k = (__mmask16)(rest < 16 ? (1 << rest) - 1 : 0xFFFF);
    const __m512i m = _mm512_maskz_loadu_epi32(k, multiplier + i);
    const __m512i s = _mm512_maskz_loadu_epi32(k, shift + i);
    __m512i v = _mm512_maskz_loadu_epi32(k, acc + i);
    v = _mm512_sllv_epi32(v, _mm512_max_epi32(s, none));
    v = ft_high_mul_512(v, m, _mm512_srli_epi64(m, 32));
    v = ft_shift_right_512(v,
                           _mm512_max_epi32(_mm512_sub_epi32(none, s), none));
    v = _mm512_add_epi32(v, zero);
    v = _mm512_min_epi32(_mm512_max_epi32(v, low), high);
    _mm512_mask_cvtepi32_storeu_epi8(y + i, k, v);
  }
}
#else
/* multiplier and shift [count]; `p` has the zero point and the bounds of y. */
static inline void ft_requantize_run(const ft_conv_params* p,
                                     const int32_t* FT_RESTRICT acc,
                                     const int32_t* FT_RESTRICT multiplier,
                                     const int32_t* FT_RESTRICT shift,
                                     int32_t count, int8_t* FT_RESTRICT y) {
  const int32_t zero = p->y_zero_point, low = p->q_low, high = p->q_high;
  int32_t i;
  for (i = 0; i < count; ++i)
    y[i] = (int8_t)ft_clamp_i32(
        ft_requantize(acc[i], multiplier[i], shift[i]) + zero, low, high);
}
#endif

/* The same with one rounding. */
static inline void ft_requantize_once_run(const ft_conv_params* p,
                                          const int32_t* FT_RESTRICT acc,
                                          const int32_t* FT_RESTRICT multiplier,
                                          const int32_t* FT_RESTRICT shift,
                                          int32_t count,
                                          int8_t* FT_RESTRICT y) {
  const int32_t zero = p->y_zero_point, low = p->q_low, high = p->q_high;
  int32_t i;
  for (i = 0; i < count; ++i)
    y[i] = (int8_t)ft_clamp_i32(
        ft_requantize_once(acc[i], multiplier[i], shift[i]) + zero, low, high);
}

#endif /* FT_KERNELS_BFP_REQUANTIZE_H_ */
