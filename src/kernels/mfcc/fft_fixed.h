/* FFT of a real signal in 32-bit integers, by radix 2 with a first pass of
 * radix
 * 4. Exact but for twiddles of 16 bits and one truncation of each product; the
 * same bits everywhere. Values grow up to the sum of all magnitudes, which must
 * stay below 2^29. Powers of two from 16 on. */
#ifndef FT_KERNELS_MFCC_FFT_FIXED_H_
#define FT_KERNELS_MFCC_FFT_FIXED_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* floor((a wa + b wb) / 2^15) for |a|, |b| < 2^30 / 2, |wa|, |wb| <= 2^15. */
static inline int32_t ft_mul_add_q15(int32_t a, int32_t wa, int32_t b,
                                     int32_t wb) {
#if defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)
  /* Without a multiplication that gives 64 bits. */
  return (a >> 15) * wa + (b >> 15) * wb +
         (((a & 32767) * wa + (b & 32767) * wb) >> 15);
#else
  return (int32_t)(((int64_t)a * wa + (int64_t)b * wb) >> 15);
#endif
}

/* x[n] becomes the transform of n / 2 complex numbers; `twiddle` is that of n.
 */
void ft_fft_fixed(int32_t n, const int16_t* twiddle, int32_t* x);

/* Value k of the real signal's spectrum, 0 < k < n / 2, of what ft_fft_fixed
 * made. */
void ft_fft_fixed_bin(int32_t n, const int16_t* twiddle, const int32_t* x,
                      int32_t k, int32_t* re, int32_t* im);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_MFCC_FFT_FIXED_H_ */
