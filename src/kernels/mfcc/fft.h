/* Spectrum magnitudes of a real signal by a radix-2 FFT.
 *
 * Single precision with a fixed order of operations, so every machine gives
 * the same bits; no allocation and no library. Not a general FFT: powers of
 * two from 4 to 65536, forward only. */
#ifndef FT_KERNELS_MFCC_FFT_H_
#define FT_KERNELS_MFCC_FFT_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* cos(2 pi numerator / denominator), to the last bit or two of double, from
 * exact argument reduction and + - * / only; denominator > 0. */
double ft_cos_turns(int64_t numerator, int64_t denominator);

/* twiddle[n]: real and imaginary part of exp(-2 pi i k / n), k < n / 2. */
void ft_fft_init(int32_t n, float* twiddle);

/* x[n] holds the signal and is overwritten; magnitude[n / 2 + 1] may not
 * overlap it. */
void ft_fft_magnitude(int32_t n, const float* twiddle, float* x,
                      float* magnitude);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_MFCC_FFT_H_ */
