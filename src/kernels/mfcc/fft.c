#include "kernels/mfcc/fft.h"

#include "kernels/math/ft_math.h"

/* Reorders m complex numbers by bit-reversed index. */
static void bit_reverse(int32_t m, float* z) {
  int32_t i, j = 0, bit;
  for (i = 1; i < m; ++i) {
    for (bit = m >> 1; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      const float re = z[2 * i], im = z[2 * i + 1];
      z[2 * i] = z[2 * j];
      z[2 * i + 1] = z[2 * j + 1];
      z[2 * j] = re;
      z[2 * j + 1] = im;
    }
  }
}

/* In-place FFT of m = n / 2 complex numbers with the twiddles of n. */
static void complex_fft(int32_t m, const float* twiddle, float* z) {
  int32_t half, start, k;
  bit_reverse(m, z);
  for (half = 1; half < m; half *= 2) {
    const int32_t stride = m / half; /* exp(-2 pi i k / (2 half)) in twiddle */
    for (start = 0; start < m; start += 2 * half) {
      for (k = 0; k < half; ++k) {
        float* a = z + 2 * (start + k);
        float* b = a + 2 * half;
        const float wr = twiddle[2 * k * stride];
        const float wi = twiddle[2 * k * stride + 1];
        const float re = b[0] * wr - b[1] * wi;
        const float im = b[0] * wi + b[1] * wr;
        b[0] = a[0] - re;
        b[1] = a[1] - im;
        a[0] += re;
        a[1] += im;
      }
    }
  }
}

/* The n real samples are taken as n / 2 complex ones, z[k] = x[2k] + i x[2k+1];
 * with Z their FFT, X[k] = E + exp(-2 pi i k / n) O where
 * E = (Z[k] + conj Z[m-k]) / 2 and O = (Z[k] - conj Z[m-k]) / 2i. */
void ft_fft_magnitude(int32_t n, const float* twiddle, float* x,
                      float* magnitude) {
  const int32_t m = n / 2;
  int32_t k;
  complex_fft(m, twiddle, x);
  magnitude[0] = ft_fabsf(x[0] + x[1]);
  magnitude[m] = ft_fabsf(x[0] - x[1]);
  for (k = 1; k < m; ++k) {
    const float* z = x + 2 * k;
    const float* c = x + 2 * (m - k);
    const float er = 0.5f * (z[0] + c[0]), ei = 0.5f * (z[1] - c[1]);
    const float or_ = 0.5f * (z[1] + c[1]), oi = 0.5f * (c[0] - z[0]);
    const float wr = twiddle[2 * k], wi = twiddle[2 * k + 1];
    const float re = er + (or_ * wr - oi * wi);
    const float im = ei + (or_ * wi + oi * wr);
    magnitude[k] = ft_sqrtf(re * re + im * im);
  }
}
