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

/* Of exponents below 2^30 in size. */
static inline int32_t ft_soft_exponent(int32_t e) {
  const int32_t limit = 1 << 28;
  return e < -limit ? -limit : (e > limit ? limit : e);
}

/* t * 2^e with the sign of `sign`; 2^29 <= t <= 2^30. */
static inline ft_soft ft_soft_signed(uint32_t t, int32_t e, int32_t sign) {
  const uint32_t carry = t >> 30;
  ft_soft s;
  s.m = sign < 0 ? -(int32_t)(t >> carry) : (int32_t)(t >> carry);
  s.e = ft_soft_exponent(e + (int32_t)carry);
  return s;
}

/* |m| < 2^30: exact. */
static inline ft_soft ft_soft_of_s32(int32_t m, int32_t e) {
  const int32_t up = 30 - ft_bit_length(m < 0 ? (uint32_t)-m : (uint32_t)m);
  ft_soft s;
  s.m = (int32_t)((uint32_t)m << (up & 31));
  s.e = m == 0 ? 0 : ft_soft_exponent(e - up);
  return s;
}

/* Any |m| < 2^62. */
static inline ft_soft ft_soft_of(int64_t m, int32_t e) {
  const uint64_t u = ft_magnitude(m);
  const uint32_t high = (uint32_t)(u >> 32);
  const int32_t spare = ft_bit_length(high) + 2;
  if (high == 0 || spare > 31) { /* one word, or very long */
    const int32_t most = ft_bit_length(u) - 30;
    int64_t v = m;
    if (most <= 0) return ft_soft_of_s32((int32_t)m, e);
    v = ft_shift_round(v, most);
    return ft_soft_signed((uint32_t)ft_magnitude(v), e + most, v < 0 ? -1 : 1);
  }
  return ft_soft_signed((uint32_t)((u + ((uint64_t)1 << (spare - 1))) >> spare),
                        e + spare, m < 0 ? -1 : 1);
}

/* |a.m * b.m| has 59 or 60 bits. */
static inline ft_soft ft_soft_mul(ft_soft a, ft_soft b) {
  const int64_t m = (int64_t)a.m * b.m;
  const uint64_t u = ft_magnitude(m);
  const uint32_t high = (uint32_t)(u >> 32) << 3 | (uint32_t)u >> 29;
  const uint32_t carry = high >> 30;
  ft_soft s;
  if (m == 0) {
    s.m = s.e = 0;
    return s;
  }
  /* `high` is floor(u / 2^29); the bit that rounds it is bit 28 of u. */
  if (carry)
    return ft_soft_signed((high + 1) >> 1, a.e + b.e + 30, (int32_t)(m >> 32));
  return ft_soft_signed(high + ((uint32_t)u >> 28 & 1), a.e + b.e + 29,
                        (int32_t)(m >> 32));
}

static inline ft_soft ft_soft_add(ft_soft a, ft_soft b) {
  ft_soft big = a, small = b;
  int64_t sum;
  int32_t apart;
  if (a.m == 0) return b;
  if (b.m == 0) return a;
  if (b.e > a.e) big = b, small = a;
  apart = big.e - small.e;
  /* 30 guard bits */
  sum = big.m * ((int64_t)1 << 30);
  if (apart <= 30)
    sum += (int64_t)small.m * (int32_t)(1u << (30 - apart));
  else
    sum += ft_shift_round(small.m, apart - 30);
  return ft_soft_of(sum, big.e - 30);
}

static inline ft_soft ft_soft_neg(ft_soft a) {
  a.m = -a.m;
  return a;
}

/* floor(high * 2^32 / d) for high < d, d >= 2^31, by divisions of 32 bits: two
 * digits of base 2^16 (Knuth, TAOCP 2, 4.3.1 D). */
static inline uint32_t ft_quotient_of_64_bits(uint32_t high, uint32_t d) {
  const uint32_t top = d >> 16, bottom = d & 0xFFFF;
  uint32_t q1 = high / top, q0, rest = high - q1 * top;
  while (q1 > 0xFFFF || q1 * bottom > rest << 16) {
    --q1;
    rest += top;
    if (rest > 0xFFFF) break;
  }
  high = (high << 16) - q1 * d;
  q0 = high / top;
  rest = high - q0 * top;
  while (q0 > 0xFFFF || q0 * bottom > rest << 16) {
    --q0;
    rest += top;
    if (rest > 0xFFFF) break;
  }
  return (q1 << 16) + q0;
}

/* a / b; b must not be 0. */
static inline ft_soft ft_soft_div(ft_soft a, ft_soft b) {
  const uint32_t u = (uint32_t)(a.m < 0 ? -a.m : a.m);
  const uint32_t d = (uint32_t)(b.m < 0 ? -b.m : b.m);
  uint32_t q;
  if (u == 0) return ft_soft_of_s32(0, 0);
  if (u < d) { /* 2^31 <= u 2^32 / d < 2^32 */
    q = ft_quotient_of_64_bits(u << 2, d << 2);
    return ft_soft_signed((q >> 2) + (q >> 1 & 1), a.e - b.e - 30, a.m ^ b.m);
  }
  q = ft_quotient_of_64_bits((u - d) << 2, d << 2); /* and 2^32 */
  return ft_soft_signed((1u << 29) + (q >> 3) + (q >> 2 & 1), a.e - b.e - 29,
                        a.m ^ b.m);
}

/* floor(sqrt(v)) for 2^28 <= v < 2^31; `rest` becomes what is left. Newton's
 * steps from a line within 12 % of it: none falls below the root, and the third
 * is at most 1 above. */
static inline uint32_t ft_root_of_31_bits(uint32_t v, uint32_t* rest) {
  uint32_t root = 12800 + (v >> 16);
  root = (root + v / root) >> 1;
  root = (root + v / root) >> 1;
  root = (root + v / root) >> 1;
  root -= root * root > v;
  *rest = v - root * root;
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
  if (a.m <= 0) return ft_soft_of_s32(0, 0);
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
  const uint32_t m = (bits & mask) | (uint32_t)1 << fraction;
  ft_soft s;
  s.m = field == 0 ? 0 : (int32_t)(m << (29 - fraction));
  s.e = field == 0 ? 0 : field - 30 + FT_SOFT_LOWEST;
  return s;
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
