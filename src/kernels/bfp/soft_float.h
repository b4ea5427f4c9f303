/* Numbers with an exponent each, in integer arithmetic: what an optimizer
 * computes with, whose states and steps differ by more than int16 holds.
 *
 * real = m * 2^e with 2^29 <= |m| < 2^30, or m = 0. Results are rounded half
 * away from zero to 30 bits. States are stored in 16 bits, rounded
 * stochastically: the mean of what is stored is what was computed.
 *   signed:   sign, 7-bit exponent, 8-bit fraction  (first moment, momentum)
 *   unsigned: 7-bit exponent, 9-bit fraction        (second moment)
 * with a hidden one, for 2^-100 <= |real| < 2^27; 0 is 0. */
#ifndef FT_KERNELS_SOFT_FLOAT_H_
#define FT_KERNELS_SOFT_FLOAT_H_

#include "kernels/bfp/bfp.h"

typedef struct {
  int32_t m, e;
} ft_soft;

static inline ft_soft ft_soft_of(int64_t m, int32_t e) {
  const int32_t spare = ft_bit_length(ft_magnitude(m)) - 30;
  ft_soft s;
  m = ft_shift_round(m, spare);
  if (m == 1 << 30 || m == -(1 << 30)) {
    m /= 2;
    ++e;
  }
  s.m = (int32_t)m;
  s.e = m == 0 ? 0 : ft_clamp_exponent((int64_t)e + spare);
  return s;
}

/* |a.m * b.m| has 59 or 60 bits. */
static inline ft_soft ft_soft_mul(ft_soft a, ft_soft b) {
  const int64_t m = (int64_t)a.m * b.m;
  const int32_t spare = 29 + (int32_t)(ft_magnitude(m) >> 59);
  const int64_t top = (m + ((int64_t)1 << (spare - 1)) - (m < 0)) >> spare;
  ft_soft s;
  s.m = (int32_t)top;
  s.e = m == 0 ? 0 : ft_clamp_exponent((int64_t)a.e + b.e + spare);
  if (top == 1 << 30 || top == -(1 << 30)) {
    s.m /= 2;
    s.e = ft_clamp_exponent((int64_t)a.e + b.e + spare + 1);
  }
  return s;
}

static inline ft_soft ft_soft_add(ft_soft a, ft_soft b) {
  ft_soft big = a, small = b;
  int32_t apart;
  if (a.m == 0) return b;
  if (b.m == 0) return a;
  if (b.e > a.e) big = b, small = a;
  apart = big.e - small.e;
  /* 30 guard bits */
  return ft_soft_of(big.m * ((int64_t)1 << 30) +
                        ft_shift_round(small.m * ((int64_t)1 << 30), apart),
                    big.e - 30);
}

static inline ft_soft ft_soft_neg(ft_soft a) {
  a.m = -a.m;
  return a;
}

/* a / b; b must not be 0. */
static inline ft_soft ft_soft_div(ft_soft a, ft_soft b) {
  const int64_t shifted = (int64_t)a.m * ((int64_t)1 << 32);
  return ft_soft_of(shifted / b.m, a.e - b.e - 32);
}

/* floor(sqrt(v)) for 2^28 <= v < 2^31, one bit of the result a turn and without
 * a branch, as no two bits are alike; `rest` becomes what is left. */
static inline uint32_t ft_root_of_31_bits(uint32_t v, uint32_t* rest) {
  uint32_t root = 0, bit = (uint32_t)1 << 30;
  while (bit != 0) {
    const uint32_t mask = (uint32_t)0 - (uint32_t)(v >= root + bit);
    v -= (root + bit) & mask;
    root = (root >> 1) + (bit & mask);
    bit >>= 2;
  }
  *rest = v;
  return root;
}

/* floor(sqrt(v)) for 2^58 <= v < 2^61: the lower half of its bits by one
 * division of 32 bits (Zimmermann, "Karatsuba Square Root", 1999). */
static inline uint32_t ft_root_of_61_bits(uint64_t v) {
  uint32_t rest, root = ft_root_of_31_bits((uint32_t)(v >> 30), &rest);
  const uint32_t next = (rest << 15) + ((uint32_t)(v >> 15) & 32767);
  const uint32_t q = next / (2 * root);
  const int64_t left = (int64_t)(next - q * 2 * root) * 32768 +
                       (int64_t)(v & 32767) - (int64_t)q * q;
  return (root << 15) + q - (left < 0);
}

/* Square root of a >= 0. */
static inline ft_soft ft_soft_sqrt(ft_soft a) {
  const int32_t odd = a.e & 1;
  if (a.m <= 0) return ft_soft_of(0, 0);
  return ft_soft_of(ft_root_of_61_bits((uint64_t)a.m << (30 + odd)),
                    (a.e - odd) / 2 - 15);
}

enum { FT_SOFT_LOWEST = -100, FT_SOFT_EXPONENTS = 127 };

/* Bits of |a| with `fraction` bits behind the hidden one; `random` is uniform.
 * Too small is 0 or the smallest number, in the right proportion up to 2^-20 of
 * it; too large saturates. */
static inline uint32_t ft_soft_pack(ft_soft a, int32_t fraction,
                                    uint32_t random) {
  const int32_t top = a.e + 29 - FT_SOFT_LOWEST; /* exponent field - 1 */
  int32_t drop = 29 - fraction;
  uint32_t u = (uint32_t)(a.m < 0 ? -a.m : a.m), field;
  if (a.m == 0) return 0;
  if (top < 0) {
    if (top < -20) return 0;
    /* Below the smallest number: that number with probability a / it. */
    return random < ((uint64_t)u << 3) >> -top ? 1u << fraction : 0;
  }
  if (top >= FT_SOFT_EXPONENTS)
    return ((uint32_t)FT_SOFT_EXPONENTS << fraction) +
           (((uint32_t)1 << fraction) - 1);
  u = (u + (random & (((uint32_t)1 << drop) - 1))) >> drop;
  /* A carry moves into the exponent by itself. */
  field = (uint32_t)(top + 1);
  u = (field << fraction) + (u - ((uint32_t)1 << fraction));
  if (u >> fraction > FT_SOFT_EXPONENTS)
    u = ((uint32_t)FT_SOFT_EXPONENTS << fraction) +
        (((uint32_t)1 << fraction) - 1);
  return u;
}

static inline ft_soft ft_soft_unpack(uint32_t bits, int32_t fraction) {
  const int32_t field = (int32_t)(bits >> fraction);
  const uint32_t mask = ((uint32_t)1 << fraction) - 1;
  const int64_t m = (int64_t)((bits & mask) | ((uint32_t)1 << fraction));
  if (field == 0) return ft_soft_of(0, 0);
  return ft_soft_of(m, field - 1 + FT_SOFT_LOWEST - fraction);
}

static inline uint16_t ft_soft_pack_unsigned(ft_soft a, uint32_t random) {
  return (uint16_t)ft_soft_pack(a, 9, random);
}

static inline ft_soft ft_soft_unpack_unsigned(uint16_t bits) {
  return ft_soft_unpack(bits, 9);
}

static inline uint16_t ft_soft_pack_signed(ft_soft a, uint32_t random) {
  return (uint16_t)(ft_soft_pack(a, 8, random) | (a.m < 0 ? 0x8000u : 0));
}

static inline ft_soft ft_soft_unpack_signed(uint16_t bits) {
  const ft_soft a = ft_soft_unpack(bits & 0x7FFFu, 8);
  return bits & 0x8000u ? ft_soft_neg(a) : a;
}

#endif /* FT_KERNELS_SOFT_FLOAT_H_ */
