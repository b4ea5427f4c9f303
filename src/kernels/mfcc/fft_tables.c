/* Twiddles in double; for hosts, which print them as constants for devices. */
#include "kernels/mfcc/fft.h"

static const double kTwoPi = 6.283185307179586476925;

/* Taylor series for |x| <= pi / 4: the first term left out is below 1e-18. */
static double cos_small(double x) {
  const double xx = x * x;
  double sum = 0, term = 1;
  int k;
  for (k = 0; k < 9; ++k) {
    sum += term;
    term *= -xx / (double)((2 * k + 1) * (2 * k + 2));
  }
  return sum;
}

static double sin_small(double x) {
  const double xx = x * x;
  double sum = 0, term = x;
  int k;
  for (k = 0; k < 9; ++k) {
    sum += term;
    term *= -xx / (double)((2 * k + 2) * (2 * k + 3));
  }
  return sum;
}

double ft_cos_turns(int64_t numerator, int64_t denominator) {
  int64_t r = numerator % denominator; /* reduced to [0, 1) turns, exactly */
  double sign = 1;
  if (r < 0) r = -r;                            /* cos(-x) = cos(x) */
  if (2 * r > denominator) r = denominator - r; /* cos(2 pi - x) = cos(x) */
  if (4 * r > denominator) {                    /* cos(pi - x) = -cos(x) */
    /* pi - x in turns: 1/2 - r/d = (d - 2 r) / (2 d) */
    r = denominator - 2 * r;
    denominator *= 2;
    sign = -1;
  }
  if (8 * r <= denominator)
    return sign * cos_small(kTwoPi * (double)r / (double)denominator);
  /* cos(x) = sin(pi / 2 - x): 1/4 - r/d = (d - 4 r) / (4 d) */
  return sign * sin_small(kTwoPi * (double)(denominator - 4 * r) /
                          (double)(4 * denominator));
}

void ft_fft_init(int32_t n, float* twiddle) {
  int32_t k;
  for (k = 0; k < n / 2; ++k) {
    twiddle[2 * k] = (float)ft_cos_turns(k, n);
    /* -sin(x) = cos(x + pi / 2) */
    twiddle[2 * k + 1] =
        (float)ft_cos_turns(4 * (int64_t)k + n, 4 * (int64_t)n);
  }
}
