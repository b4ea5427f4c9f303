/* IEEE binary16 and bfloat16, to and from binary32; C99 and C++.
 *
 * Rounded to nearest, ties to even, as storage formats are everywhere. Values
 * beyond the largest finite number become it, not infinity: what is stored is
 * a parameter, and infinity would spread through the model. NaN stays NaN. */
#ifndef FT_BASE_HALF_H_
#define FT_BASE_HALF_H_

#include <stdint.h>
#include <string.h>

static inline uint32_t ft_bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof(bits));
  return bits;
}

static inline float ft_float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof(x));
  return x;
}

static inline float ft_half_to_float(uint16_t h) {
  const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
  const uint32_t exponent = (uint32_t)h >> 10 & 31u, fraction = h & 0x3ffu;
  float subnormal;
  if (exponent == 31) return ft_float_of(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0)
    return ft_float_of(sign | (exponent + 112) << 23 | fraction << 13);
  subnormal = (float)fraction / 16777216.0f;
  return sign != 0 ? -subnormal : subnormal;
}

static inline uint16_t ft_half_of_float(float x) {
  const uint32_t bits = ft_bits_of(x), sign = bits >> 16 & 0x8000u;
  uint32_t size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
  if (size >= 0x477ff000u) return (uint16_t)(sign | 0x7bffu);
  if (size < 0x38800000u) {
    /* Subnormal: adding 0.5 leaves units of 2^-24 in the fraction, rounded. */
    const float shifted = ft_float_of(size) + 0.5f;
    return (uint16_t)(sign | (ft_bits_of(shifted) - 0x3f000000u));
  }
  size += 0xfffu + (size >> 13 & 1u);
  return (uint16_t)(sign | ((size >> 13) - (112u << 10)));
}

static inline float ft_bfloat16_to_float(uint16_t b) {
  return ft_float_of((uint32_t)b << 16);
}

static inline uint16_t ft_bfloat16_of_float(float x) {
  uint32_t bits = ft_bits_of(x);
  const uint32_t size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
  if (size >= 0x7f7f8000u) return (uint16_t)((bits >> 16 & 0x8000u) | 0x7f7fu);
  bits += 0x7fffu + (bits >> 16 & 1u);
  return (uint16_t)(bits >> 16);
}

#endif /* FT_BASE_HALF_H_ */
