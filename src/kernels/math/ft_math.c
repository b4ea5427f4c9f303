/* Polynomials fitted by Chebyshev interpolation of the function that each
 * comment names; errors are those that ft_math_test.cc measures. */
#include "kernels/math/ft_math.h"

#include <math.h> /* sqrtf only: correctly rounded on every IEEE machine */
#include <stdint.h>
#include <string.h>

static float from_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof(x));
  return x;
}

static uint32_t to_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof(bits));
  return bits;
}

/* |x| with the sign of `sign`. */
static float with_sign(float x, float sign) {
  return from_bits(to_bits(x) | (to_bits(sign) & 0x80000000u));
}

/* 2^k for k in [-126, 127]. */
static float power_of_two(int32_t k) {
  return from_bits((uint32_t)(k + 127) << 23);
}

/* x = k ln 2 + r with |r| <= ln 2 / 2; e^x = 2^k e^r. The product with 2^k is
 * split so that results below 2^-126 are rounded once, by the last factor. */
float ft_expf(float x) {
  const float round = 12582912.0f; /* 1.5 * 2^23: the sum's ulp is 1 */
  float z, k, r, p;
  int32_t n;
  if (x != x) return x;
  if (x > 88.7228394f) return from_bits(0x7f800000u);
  if (x < -103.972084f) return 0.0f;
  z = x * 0x1.715476p+0f + round;
  k = z - round;
  n = (int32_t)(to_bits(z) - to_bits(round));
  /* The first part of ln 2 has 9 bits, so k * that is exact. */
  r = (x - k * 0x1.63p-1f) - k * -0x1.bd0106p-13f;
  /* (e^r - 1 - r) / r^2 */
  p = 0x1.6d1606p-10f;
  p = p * r + 0x1.12106cp-7f;
  p = p * r + 0x1.555516p-5f;
  p = p * r + 0x1.5554d8p-3f;
  p = p * r + 0.5f;
  p = 1.0f + (r + r * r * p);
  return p * power_of_two(n / 2) * power_of_two(n - n / 2);
}

/* x = 2^k m with m in [sqrt(1/2), sqrt(2)); with f = m - 1 and s = f / (2 + f),
 * log(1 + f) = f - (f^2/2 - s (f^2/2 + R(s^2))). */
float ft_logf(float x) {
  uint32_t bits = to_bits(x);
  int32_t n = 0;
  float f, s, z, p, half, k;
  if (x != x) return x;
  if (x == 0.0f) return from_bits(0xff800000u);
  if (x < 0.0f) return from_bits(0x7fc00000u);
  if (bits == 0x7f800000u) return x;
  if (bits < 0x00800000u) { /* subnormal */
    bits = to_bits(x * 0x1p+25f);
    n = -25;
  }
  /* 0x3f3504f3 = sqrt(1/2): moving it to 1 makes the exponent field floor. */
  bits += 0x3f800000u - 0x3f3504f3u;
  n += (int32_t)(bits >> 23) - 127;
  f = from_bits((bits & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
  s = f / (2.0f + f);
  z = s * s;
  /* (2 atanh(s) / s - 2) / s^2 */
  p = 0x1.de0b02p-3f;
  p = p * z + 0x1.245b28p-2f;
  p = p * z + 0x1.9999eep-2f;
  p = p * z + 0x1.555556p-1f;
  p = p * z;
  half = 0.5f * f * f;
  k = (float)n;
  return k * 0x1.63p-1f -
         ((half - (s * (half + p) + k * -0x1.bd0106p-13f)) - f);
}

float ft_tanhf(float x) {
  const float a = ft_fabsf(x);
  float z, p;
  if (x != x) return x;
  if (a < 0.6f) { /* (tanh(x) / x - 1) / x^2 */
    z = x * x;
    p = -0x1.9ada6p-8f;
    p = p * z + 0x1.59e1c8p-6f;
    p = p * z + -0x1.b955dcp-5f;
    p = p * z + 0x1.110eep-3f;
    p = p * z + -0x1.555554p-2f;
    return with_sign(a + a * (z * p), x);
  }
  /* From 9.02 on the nearest float is 1. */
  p = a < 9.02f ? 1.0f - 2.0f / (ft_expf(a + a) + 1.0f) : 1.0f;
  return with_sign(p, x);
}

float ft_erff(float x) {
  const float a = ft_fabsf(x);
  float z, p;
  if (x != x) return x;
  if (a < 0.9f) { /* erf(x) / x - 1 */
    z = x * x;
    p = 0x1.65bfcp-14f;
    p = p * z + -0x1.acd92ap-11f;
    p = p * z + 0x1.55107p-8f;
    p = p * z + -0x1.b815ccp-6f;
    p = p * z + 0x1.ce2e5cp-4f;
    p = p * z + -0x1.812744p-2f;
    p = p * z + 0x1.06eba8p-3f;
    return x + x * p;
  }
  if (a > 4.0f) {
    p = 1.0f;
  } else { /* -log(erfc(x)) / x */
    p = -0x1.3bb75ep-22f;
    p = p * a + 0x1.44d516p-18f;
    p = p * a + -0x1.08d1aep-16f;
    p = p * a + -0x1.125438p-12f;
    p = p * a + 0x1.db2bbcp-9f;
    p = p * a + -0x1.883cdp-6f;
    p = p * a + 0x1.b48d22p-4f;
    p = p * a + 0x1.4510bep-1f;
    p = p * a + 0x1.20f3ccp+0f;
    p = 1.0f - ft_expf(-(p * a));
  }
  return with_sign(p, x);
}

float ft_sqrtf(float x) { return sqrtf(x); }

float ft_rsqrtf(float x) { return 1.0f / sqrtf(x); }

float ft_fabsf(float x) { return from_bits(to_bits(x) & 0x7fffffffu); }
