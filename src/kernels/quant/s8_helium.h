/* Inner loops of int8 rows for Helium (MVE): VMLADAVA multiplies 16 pairs of
 * bytes and adds them to one sum. */
#ifndef FT_KERNELS_QUANT_S8_HELIUM_H_
#define FT_KERNELS_QUANT_S8_HELIUM_H_

#include <arm_mve.h>

#include "kernels/quant/fixed_point.h"
#include "kernels/quant/s8_device.h"

/* Sums of one row of weights with four rows of x; `groups` (at least 1) of 16
 * bytes. */
static inline int32x4_t ft_mve_dot_4x1(const int8_t* w, const int8_t* const* x,
                                       int32_t groups) {
  const int8_t *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  int32x4_t sums = vdupq_n_s32(0);
  __asm volatile(
      "dls lr, %[n]\n"
      "1:\n\t"
      "vldrb.8 q0, [%[w]], #16\n\t"
      "vldrb.8 q1, [%[x0]], #16\n\t"
      "vmladava.s8 %[s0], q0, q1\n\t"
      "vldrb.8 q2, [%[x1]], #16\n\t"
      "vmladava.s8 %[s1], q0, q2\n\t"
      "vldrb.8 q1, [%[x2]], #16\n\t"
      "vmladava.s8 %[s2], q0, q1\n\t"
      "vldrb.8 q2, [%[x3]], #16\n\t"
      "vmladava.s8 %[s3], q0, q2\n\t"
      "le lr, 1b\n"
      : [w] "+r"(w), [x0] "+r"(x0), [x1] "+r"(x1), [x2] "+r"(x2), [x3] "+r"(x3),
        [s0] "+Te"(s0), [s1] "+Te"(s1), [s2] "+Te"(s2), [s3] "+Te"(s3)
      : [n] "r"(groups)
      : "lr", "q0", "q1", "q2", "memory");
  sums = vsetq_lane_s32(s0, sums, 0);
  sums = vsetq_lane_s32(s1, sums, 1);
  sums = vsetq_lane_s32(s2, sums, 2);
  return vsetq_lane_s32(s3, sums, 3);
}

/* Four sums of one channel of a plain layer, with the output's zero point. */
static inline int32x4_t ft_mve_requantize(int32x4_t sums,
                                          const ft_device_channel* c) {
  int32x4_t v = vqrdmulhq_n_s32(vaddq_n_s32(sums, c->init), c->multiplier);
  v = vaddq_n_s32(vaddq_s32(v, vshrq_n_s32(v, 31)), c->offset);
  return vshlq_r_s32(v, -c->right);
}

#endif /* FT_KERNELS_QUANT_S8_HELIUM_H_ */
