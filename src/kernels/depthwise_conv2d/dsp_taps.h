/* Sums of depthwise taps for rows of Armv7E-M, four channels at a time. */
#ifndef FT_KERNELS_DEPTHWISE_CONV2D_DSP_TAPS_H_
#define FT_KERNELS_DEPTHWISE_CONV2D_DSP_TAPS_H_

#include "kernels/quant/s8_armdsp.h"

#define FT_TAP                           \
  "ldr %[r], [%[taps]], #4\n\t"          \
  "ldr %[e], [%[r], %[c]]\n\t"           \
  "ldrd %[w0], %[w1], [%[w]], #8\n\t"    \
  "sxtb16 %[o], %[e], ror #8\n\t"        \
  "sxtb16 %[e], %[e]\n\t"                \
  "smlabb %[a0], %[e], %[w0], %[a0]\n\t" \
  "smlatt %[a2], %[e], %[w0], %[a2]\n\t" \
  "smlabb %[a1], %[o], %[w1], %[a1]\n\t" \
  "smlatt %[a3], %[o], %[w1], %[a3]\n\t"

#define FT_TAP_OPERANDS                                                        \
  [taps] "+r"(taps), [w] "+r"(w), [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2), \
      [a3] "+r"(a3), [r] "=&r"(r), [e] "=&r"(e), [o] "=&r"(o), [w0] "=&r"(w0), \
      [w1] "=&r"(w1)

typedef struct {
  int32_t c0, c1, c2, c3;
} ft_dsp_four;

/* Of channels c .. c + 3, from `sums` on; w as ft_pack_depthwise_s16() has it.
 */
static inline ft_dsp_four ft_dsp_sum_taps(const int8_t* const* taps,
                                          int32_t count, int32_t c,
                                          const int16_t* w, ft_dsp_four sums) {
  const int8_t* const* end3 = taps + count / 3 * 3;
  const int8_t* const* end = taps + count;
  int32_t a0 = sums.c0, a1 = sums.c1, a2 = sums.c2, a3 = sums.c3;
  int32_t r, e, o, w0, w1;
  while (taps != end3)
    __asm volatile(FT_TAP FT_TAP FT_TAP:FT_TAP_OPERANDS
                   : [c] "r"(c)
                   : "memory");
  while (taps != end)
    __asm volatile(FT_TAP:FT_TAP_OPERANDS : [c] "r"(c) : "memory");
  sums.c0 = a0;
  sums.c1 = a1;
  sums.c2 = a2;
  sums.c3 = a3;
  return sums;
}

#endif /* FT_KERNELS_DEPTHWISE_CONV2D_DSP_TAPS_H_ */
