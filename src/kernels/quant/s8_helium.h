/* Inner loops of int8 rows for Helium (MVE): VMLADAVA multiplies 16 pairs of
 * bytes and adds them to one sum. */
#ifndef FT_KERNELS_QUANT_S8_HELIUM_H_
#define FT_KERNELS_QUANT_S8_HELIUM_H_

#include <arm_mve.h>

#include "kernels/quant/fixed_point.h"
#include "kernels/quant/s8_device.h"

/* Sums of one row of weights with four rows of x are one vector. In asm: GCC 12
 * clears each sum before VMLADAVA and spills what it loads early. */

/* 16 products for each of four rows at `x0` .. `x3`. `mla`: vmladav for the
 * first ones, vmladava to add to them. `at`: where the rows stand, "], #16" to
 * move on. Two vectors are all that it needs: rows of x and of weights, the
 * latter in the one that the sums are for. */
#define FT_MVE_GROUP(mla, at)           \
  "vldrb.8 %q[sums], [%[w]], #16\n\t"   \
  "vldrb.8 %q[v], [%[x0]" at "\n\t" mla \
  ".s8 %[s0], %q[sums], %q[v]\n\t"      \
  "vldrb.8 %q[v], [%[x1]" at "\n\t" mla \
  ".s8 %[s1], %q[sums], %q[v]\n\t"      \
  "vldrb.8 %q[v], [%[x2]" at "\n\t" mla \
  ".s8 %[s2], %q[sums], %q[v]\n\t"      \
  "vldrb.8 %q[v], [%[x3]" at "\n\t" mla ".s8 %[s3], %q[sums], %q[v]\n\t"
#define FT_MVE_NEXT_GROUP FT_MVE_GROUP("vmladava", "], #16")
#define FT_MVE_SUMS                                 \
  "vmov %q[sums][2], %q[sums][0], %[s0], %[s2]\n\t" \
  "vmov %q[sums][3], %q[sums][1], %[s1], %[s3]\n\t"

/* Any number of groups of 16 bytes, at least 1. */
static inline int32x4_t ft_mve_dot_4x1(const int8_t* w, const int8_t* const* x,
                                       int32_t groups) {
  const int8_t *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  int32x4_t sums, v;
  __asm volatile(
      "lsr lr, %[n], #2\n\t"
      "wls lr, lr, 2f\n"
      "1:\n\t" FT_MVE_NEXT_GROUP FT_MVE_NEXT_GROUP FT_MVE_NEXT_GROUP
          FT_MVE_NEXT_GROUP
      "le lr, 1b\n"
      "2:\n\t"
      "and lr, %[n], #3\n\t"
      "wls lr, lr, 4f\n"
      "3:\n\t" FT_MVE_NEXT_GROUP
      "le lr, 3b\n"
      "4:\n\t" FT_MVE_SUMS
      : [w] "+r"(w), [x0] "+r"(x0), [x1] "+r"(x1), [x2] "+r"(x2), [x3] "+r"(x3),
        [s0] "+Te"(s0), [s1] "+Te"(s1), [s2] "+Te"(s2), [s3] "+Te"(s3),
        [sums] "=&w"(sums), [v] "=&w"(v)
      : [n] "r"(groups)
      : "lr", "memory");
  return sums;
}

#define FT_MVE_FIXED(name, steps)                                          \
  static inline int32x4_t name(const int8_t** w, const int8_t* x0,         \
                               const int8_t* x1, const int8_t* x2,         \
                               const int8_t* x3) {                         \
    int32_t s0, s1, s2, s3;                                                \
    int32x4_t sums, v;                                                     \
    __asm volatile(                                                        \
        steps FT_MVE_SUMS                                                  \
        : [w] "+r"(*w), [s0] "=&Te"(s0), [s1] "=&Te"(s1), [s2] "=&Te"(s2), \
          [s3] "=&Te"(s3), [sums] "=&w"(sums), [v] "=&w"(v)                \
        : [x0] "r"(x0), [x1] "r"(x1), [x2] "r"(x2), [x3] "r"(x3)           \
        : "memory");                                                       \
    return sums;                                                           \
  }

/* 1, 2, 4 and 8 groups, without a loop; *w moves on. */
#define FT_MVE_AT(at) FT_MVE_GROUP("vmladava", ", #" at "]")
#define FT_MVE_2 FT_MVE_GROUP("vmladav", "]") FT_MVE_AT("16")
#define FT_MVE_4 FT_MVE_2 FT_MVE_AT("32") FT_MVE_AT("48")
#define FT_MVE_MORE FT_MVE_AT("64") FT_MVE_AT("80") FT_MVE_AT("96")
#define FT_MVE_8 FT_MVE_4 FT_MVE_MORE FT_MVE_AT("112")
FT_MVE_FIXED(ft_mve_dot_one, FT_MVE_GROUP("vmladav", "]"))
FT_MVE_FIXED(ft_mve_dot_2, FT_MVE_2)
FT_MVE_FIXED(ft_mve_dot_4, FT_MVE_4)
FT_MVE_FIXED(ft_mve_dot_8, FT_MVE_8)

/* One group, with the rows of x in registers. */
static inline int32x4_t ft_mve_dot_1(const int8_t** w, int8x16_t x0,
                                     int8x16_t x1, int8x16_t x2, int8x16_t x3) {
  int32_t s0, s1, s2, s3;
  int32x4_t sums;
  __asm volatile(
      "vldrb.8 %q[sums], [%[w]], #16\n\t"
      "vmladav.s8 %[s0], %q[sums], %q[x0]\n\t"
      "vmladav.s8 %[s1], %q[sums], %q[x1]\n\t"
      "vmladav.s8 %[s2], %q[sums], %q[x2]\n\t"
      "vmladav.s8 %[s3], %q[sums], %q[x3]\n\t" FT_MVE_SUMS
      : [w] "+r"(*w), [s0] "=&Te"(s0), [s1] "=&Te"(s1), [s2] "=&Te"(s2),
        [s3] "=&Te"(s3), [sums] "=&w"(sums)
      : [x0] "w"(x0), [x1] "w"(x1), [x2] "w"(x2), [x3] "w"(x3)
      : "memory");
  return sums;
}

/* Four sums of the plain channel *c, requantized with the output's zero point
 * and saturated, to the even (`half` "b") or odd ("t") halfwords of `to`; *c
 * moves on. VQRDMLAH adds the sum's sign in place of its product's: they differ
 * where the product is 0, whose rounding -1 does not change. */
#define FT_MVE_REQUANTIZE(half, sums, c, to)                           \
  do {                                                                 \
    int32x4_t sign_;                                                   \
    int32_t a_, b_;                                                    \
    __asm volatile(                                                    \
        "ldrd %[a], %[b], [%[p]], #8\n\t"                              \
        "vadd.i32 %q[s], %q[s], %[a]\n\t"                              \
        "vshr.s32 %q[v], %q[s], #31\n\t"                               \
        "vqrdmlah.s32 %q[v], %q[s], %[b]\n\t"                          \
        "ldrd %[a], %[b], [%[p]], #8\n\t"                              \
        "rsb %[b], %[b], #0\n\t"                                       \
        "vadd.i32 %q[v], %q[v], %[a]\n\t"                              \
        "vshl.s32 %q[v], %[b]\n\t"                                     \
        "vqmovn" half ".s32 %q[h], %q[v]\n\t"                          \
        : [p] "+r"(c), [s] "+w"(sums), [h] "+w"(to), [v] "=&w"(sign_), \
          [a] "=&r"(a_), [b] "=&r"(b_)                                 \
        :                                                              \
        : "memory");                                                   \
  } while (0)

/* ft_round_to_acc() of finite values and NaN. Helium takes values below 2^-126
 * for 0; that far from a tie between two integers they round alike, so sides of
 * finite values keep the bits of the C99 row. */
static inline int32x4_t ft_mve_round_to_acc(float32x4_t v) {
  v = vmaxnmq_f32(vaddq_n_f32(v, 0.5f), vdupq_n_f32(-1073741824.0f));
  return vcvtmq_s32_f32(vminnmq_f32(v, vdupq_n_f32(1073741824.0f)));
}

/* ft_requantize() for any shift; `right` is minus it. */
static inline int32x4_t ft_mve_requantize(int32x4_t acc, int32x4_t multiplier,
                                          int32x4_t right) {
  const int32x4_t none = vdupq_n_s32(0), left = vminq_s32(right, none);
  const int32x4_t shift = vminq_s32(vnegq_s32(right), none);
  int32x4_t v = vqrdmulhq_s32(vshlq_s32(acc, vnegq_s32(left)), multiplier);
  /* Halves away from 0, where something is shifted out. */
  v = vqaddq_s32(v, vandq_s32(vshrq_n_s32(v, 31), vshrq_n_s32(shift, 31)));
  return vrshlq_s32(v, shift);
}

/* `bytes` bytes, at least 1. */
static inline void ft_mve_copy(int8_t* to, const int8_t* from, int32_t bytes) {
  __asm volatile(
      "dlstp.8 lr, %[n]\n"
      "1:\n\t"
      "vldrb.8 q0, [%[from]], #16\n\t"
      "vstrb.8 q0, [%[to]], #16\n\t"
      "letp lr, 1b\n"
      : [to] "+r"(to), [from] "+r"(from)
      : [n] "r"(bytes)
      : "lr", "q0", "memory");
}

#endif /* FT_KERNELS_QUANT_S8_HELIUM_H_ */
