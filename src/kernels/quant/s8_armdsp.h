/* Inner loops of int8 rows for Armv7E-M and Armv8-M with DSP.
 *
 * SMLAD multiplies two pairs of halfwords. The weights of two output channels
 * share words: byte 0 (k, channel 0), byte 1 (k, channel 1), byte 2 (k + 2,
 * channel 0), byte 3 (k + 2, channel 1). Used as it is, a halfword is
 * 256 * w1 + w0 (packing makes it so for negative w0 too), so one SMLAD sums
 * both channels; SXTB16 gives w0 alone for a second one. Their difference is
 * 256 * the sum of channel 1, exact while that stays below 2^23: chunks of
 * FT_DSP_CHUNK products. That saves every second unpacking. */
#ifndef FT_KERNELS_QUANT_S8_ARMDSP_H_
#define FT_KERNELS_QUANT_S8_ARMDSP_H_

#include <arm_acle.h>
#include <string.h>

#include "kernels/quant/fixed_point.h"
#include "kernels/quant/s8_device.h"
#include "kernels/quant/s8_pairs.h"

/* 4 bytes from anywhere. */
static inline int32_t ft_dsp_load(const int8_t* x) {
  int32_t v;
  memcpy(&v, x, sizeof v);
  return v;
}

static inline int32_t ft_dsp_even(int32_t bytes) { return __sxtb16(bytes); }
static inline int32_t ft_dsp_odd(int32_t bytes) {
  const uint32_t v = (uint32_t)bytes;
  return __sxtb16((int32_t)(v >> 8 | v << 24));
}

/* 4 values of one pixel to halfword pairs (0, 2), (1, 3) at to[0], to[step]. */
static inline void ft_dsp_widen(const int8_t* x, int32_t* to, int32_t step) {
  const int32_t v = ft_dsp_load(x);
  to[0] = ft_dsp_even(v);
  to[step] = ft_dsp_odd(v);
}

/* A loop of which the compiler makes one copy for each constant argument. */
#define FT_DSP_COPIED static inline __attribute__((always_inline))

/* The sum of a channel of a plain layer as an int8 from p's q_low to q_high;
 * `is_byte`: these are all that a byte holds. */
FT_DSP_COPIED int8_t ft_dsp_requantize(int32_t sum, const ft_device_channel* c,
                                       int is_byte, int32_t low, int32_t high) {
  const int32_t twice = (sum + c->init) * 2;
  int32_t v;
  __asm("smmulr %0, %1, %2" : "=r"(v) : "r"(twice), "r"(c->multiplier));
  v = (v + (v >> 31) + c->offset) >> c->right;
  if (!is_byte) return (int8_t)ft_clamp_i32(v, low, high);
  __asm("ssat %0, #8, %1" : "=r"(v) : "r"(v));
  return (int8_t)v;
}

/* Sums of two channels. */
typedef struct {
  int32_t s0, s1;
} ft_dsp_sums;

static inline void ft_dsp_split(uint32_t both, uint32_t first,
                                ft_dsp_sums* sums) {
  sums->s0 += (int32_t)first;
  sums->s1 += (int32_t)(both - first) >> 8;
}

#define FT_DSP_STEP_2X2                  \
  "ldrd %[w0], %[w1], [%[w]], #8\n\t"    \
  "ldrd %[x0], %[x1], [%[x]], #8\n\t"    \
  "sxtb16 %[t], %[w0]\n\t"               \
  "smlad %[b0], %[w0], %[x0], %[b0]\n\t" \
  "smlad %[b1], %[w0], %[x1], %[b1]\n\t" \
  "smlad %[f0], %[t], %[x0], %[f0]\n\t"  \
  "smlad %[f1], %[t], %[x1], %[f1]\n\t"  \
  "ldrd %[x0], %[x1], [%[x]], #8\n\t"    \
  "sxtb16 %[t], %[w1]\n\t"               \
  "smlad %[b0], %[w1], %[x0], %[b0]\n\t" \
  "smlad %[b1], %[w1], %[x1], %[b1]\n\t" \
  "smlad %[f0], %[t], %[x0], %[f0]\n\t"  \
  "smlad %[f1], %[t], %[x1], %[f1]\n\t"

/* Adds `groups` of 4 products for two pixels, whose pairs alternate at `x`, and
 * two channels. */
static inline const int32_t* ft_dsp_dot_2x2(const int32_t* w, const int32_t* x,
                                            int32_t groups, ft_dsp_sums* p0,
                                            ft_dsp_sums* p1) {
  uint32_t b0 = 0, b1 = 0, f0 = 0, f1 = 0, w0, w1, x0, x1, t;
  const int32_t *end4 = w + (groups & ~3) * 2, *end = w + groups * 2;
  while (w != end4)
    __asm volatile(
        FT_DSP_STEP_2X2 FT_DSP_STEP_2X2 FT_DSP_STEP_2X2 FT_DSP_STEP_2X2
        : [w] "+r"(w), [x] "+r"(x), [b0] "+r"(b0), [b1] "+r"(b1), [f0] "+r"(f0),
          [f1] "+r"(f1), [w0] "=&r"(w0), [w1] "=&r"(w1), [x0] "=&r"(x0),
          [x1] "=&r"(x1), [t] "=&r"(t)
        :
        : "memory");
  while (w != end)
    __asm volatile(
        FT_DSP_STEP_2X2
        : [w] "+r"(w), [x] "+r"(x), [b0] "+r"(b0), [b1] "+r"(b1), [f0] "+r"(f0),
          [f1] "+r"(f1), [w0] "=&r"(w0), [w1] "=&r"(w1), [x0] "=&r"(x0),
          [x1] "=&r"(x1), [t] "=&r"(t)
        :
        : "memory");
  ft_dsp_split(b0, f0, p0);
  ft_dsp_split(b1, f1, p1);
  return w;
}

/* The same for all of k4 products, a multiple of 4, in chunks. */
static inline const int32_t* ft_dsp_dot_all_2x2(const int32_t* w,
                                                const int32_t* x, int32_t k4,
                                                ft_dsp_sums* p0,
                                                ft_dsp_sums* p1) {
  int32_t first;
  for (first = 0; first < k4; first += FT_DSP_CHUNK) {
    const int32_t left = k4 - first;
    const int32_t count = left < FT_DSP_CHUNK ? left : FT_DSP_CHUNK;
    w = ft_dsp_dot_2x2(w, x + first, count / 4, p0, p1);
  }
  return w;
}

#define FT_DSP_STEP_1X4                  \
  "ldrd %[x0], %[x1], [%[x]], #8\n\t"    \
  "ldrd %[w0], %[w1], [%[w]], #8\n\t"    \
  "sxtb16 %[t], %[w0]\n\t"               \
  "smlad %[b0], %[w0], %[x0], %[b0]\n\t" \
  "smlad %[f0], %[t], %[x0], %[f0]\n\t"  \
  "sxtb16 %[t], %[w1]\n\t"               \
  "smlad %[b0], %[w1], %[x1], %[b0]\n\t" \
  "smlad %[f0], %[t], %[x1], %[f0]\n\t"  \
  "ldrd %[w0], %[w1], [%[v]], #8\n\t"    \
  "sxtb16 %[t], %[w0]\n\t"               \
  "smlad %[b1], %[w0], %[x0], %[b1]\n\t" \
  "smlad %[f1], %[t], %[x0], %[f1]\n\t"  \
  "sxtb16 %[t], %[w1]\n\t"               \
  "smlad %[b1], %[w1], %[x1], %[b1]\n\t" \
  "smlad %[f1], %[t], %[x1], %[f1]\n\t"

/* One pixel and the channel pairs at `w` and `v`. */
static inline void ft_dsp_dot_1x4(const int32_t* w, const int32_t* v,
                                  const int32_t* x, int32_t groups,
                                  ft_dsp_sums* p0, ft_dsp_sums* p1) {
  uint32_t b0 = 0, b1 = 0, f0 = 0, f1 = 0, w0, w1, x0, x1, t;
  const int32_t *end4 = w + (groups & ~3) * 2, *end = w + groups * 2;
  while (w != end4)
    __asm volatile(
        FT_DSP_STEP_1X4 FT_DSP_STEP_1X4 FT_DSP_STEP_1X4 FT_DSP_STEP_1X4
        : [w] "+r"(w), [v] "+r"(v), [x] "+r"(x), [b0] "+r"(b0), [b1] "+r"(b1),
          [f0] "+r"(f0), [f1] "+r"(f1), [w0] "=&r"(w0), [w1] "=&r"(w1),
          [x0] "=&r"(x0), [x1] "=&r"(x1), [t] "=&r"(t)
        :
        : "memory");
  while (w != end)
    __asm volatile(
        FT_DSP_STEP_1X4
        : [w] "+r"(w), [v] "+r"(v), [x] "+r"(x), [b0] "+r"(b0), [b1] "+r"(b1),
          [f0] "+r"(f0), [f1] "+r"(f1), [w0] "=&r"(w0), [w1] "=&r"(w1),
          [x0] "=&r"(x0), [x1] "=&r"(x1), [t] "=&r"(t)
        :
        : "memory");
  ft_dsp_split(b0, f0, p0);
  ft_dsp_split(b1, f1, p1);
}

#endif /* FT_KERNELS_QUANT_S8_ARMDSP_H_ */
