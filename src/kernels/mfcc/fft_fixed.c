#include "kernels/mfcc/fft_fixed.h"

static void swap(int32_t* a, int32_t* b) {
  const int32_t v = *a;
  *a = *b;
  *b = v;
}

/* Reorders m complex numbers by bit-reversed index. */
static void bit_reverse(int32_t m, int32_t* z) {
  int32_t i, j = 0, bit;
  for (i = 1; i < m; ++i) {
    for (bit = m >> 1; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      swap(z + 2 * i, z + 2 * j);
      swap(z + 2 * i + 1, z + 2 * j + 1);
    }
  }
}

/* The first two passes, whose twiddles are 1 and -i. */
static void first_passes(int32_t m, int32_t* z) {
  const int32_t* const end = z + 2 * m;
  for (; z < end; z += 8) {
    const int32_t ar = z[0] + z[2], ai = z[1] + z[3];
    const int32_t br = z[0] - z[2], bi = z[1] - z[3];
    const int32_t cr = z[4] + z[6], ci = z[5] + z[7];
    const int32_t dr = z[4] - z[6], di = z[5] - z[7];
    z[0] = ar + cr;
    z[1] = ai + ci;
    z[2] = br + di;
    z[3] = bi - dr;
    z[4] = ar - cr;
    z[5] = ai - ci;
    z[6] = br - di;
    z[7] = bi + dr;
  }
}

static void butterfly(int32_t* a, int32_t* b, int32_t re, int32_t im) {
  b[0] = a[0] - re;
  b[1] = a[1] - im;
  a[0] += re;
  a[1] += im;
}

/* One pass over m numbers: pairs `half` apart. The twiddle 1 does not fit 16
 * bits and needs no product. */
static void pass(int32_t m, int32_t half, const int16_t* twiddle, int32_t* z) {
  const int32_t stride = 2 * (m / half);
  int32_t* const end = z + 2 * m;
  int32_t *a, k;
  for (a = z; a < end; a += 4 * half)
    butterfly(a, a + 2 * half, a[2 * half], a[2 * half + 1]);
  for (k = 1; k < half; ++k) {
    const int32_t wr = twiddle[k * stride], wi = twiddle[k * stride + 1];
    for (a = z + 2 * k; a < end; a += 4 * half) {
      int32_t* const b = a + 2 * half;
      butterfly(a, b, ft_mul_add_q15(b[0], wr, b[1], -wi),
                ft_mul_add_q15(b[0], wi, b[1], wr));
    }
  }
}

void ft_fft_fixed(int32_t n, const int16_t* twiddle, int32_t* x) {
  const int32_t m = n / 2;
  int32_t half;
  bit_reverse(m, x);
  first_passes(m, x);
  for (half = 4; half < m; half *= 2) pass(m, half, twiddle, x);
}

/* As in fft.c: X[k] = E + exp(-2 pi i k / n) O. */
void ft_fft_fixed_bin(int32_t n, const int16_t* twiddle, const int32_t* x,
                      int32_t k, int32_t* re, int32_t* im) {
  const int32_t *z = x + 2 * k, *c = x + n - 2 * k;
  const int32_t er = (z[0] + c[0]) >> 1, ei = (z[1] - c[1]) >> 1;
  const int32_t or_ = (z[1] + c[1]) >> 1, oi = (c[0] - z[0]) >> 1;
  const int32_t wr = twiddle[2 * k], wi = twiddle[2 * k + 1];
  *re = er + ft_mul_add_q15(or_, wr, oi, -wi);
  *im = ei + ft_mul_add_q15(or_, wi, oi, wr);
}
