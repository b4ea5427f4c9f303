/* Inner loops of integer training for Armv7E-M and Armv8-M with DSP: SMLAD sums
 * two products of halfwords. What is left of a length is the caller's. */
#ifndef FT_KERNELS_BFP_ARMDSP_H_
#define FT_KERNELS_BFP_ARMDSP_H_

#include <arm_acle.h>
#include <stdint.h>
#include <string.h>

/* -zero in both halves of a word. */
static inline int32_t ft_dsp_minus(int32_t zero) {
  const uint32_t minus = (uint32_t)-zero & 0xFFFF;
  return (int32_t)(minus << 16 | minus);
}

/* Halfwords of x's bytes 0 and 2, and 1 and 3, each plus one of `minus`. */
static inline void ft_dsp_widen_by(const int8_t* x, int32_t minus,
                                   int32_t* even, int32_t* odd) {
  int32_t bytes;
  memcpy(&bytes, x, 4);
  __asm("sxtab16 %0, %1, %2" : "=r"(*even) : "r"(minus), "r"(bytes));
  __asm("sxtab16 %0, %1, %2, ror #8" : "=r"(*odd) : "r"(minus), "r"(bytes));
}

/* s += (x + minus) w, four channels of int8 w. */
static inline void ft_dsp_add_4_s8(const int8_t* x, int32_t minus,
                                   const int8_t* w, int32_t* s0, int32_t* s1,
                                   int32_t* s2, int32_t* s3) {
  int32_t even, odd, w02, w13;
  ft_dsp_widen_by(x, minus, &even, &odd);
  ft_dsp_widen_by(w, 0, &w02, &w13);
  *s0 = __smlabb(even, w02, *s0);
  *s1 = __smlabb(odd, w13, *s1);
  *s2 = __smlatt(even, w02, *s2);
  *s3 = __smlatt(odd, w13, *s3);
}

/* The same of int16 w. */
static inline void ft_dsp_add_4_s16(const int8_t* x, int32_t minus,
                                    const int16_t* w, int32_t* s0, int32_t* s1,
                                    int32_t* s2, int32_t* s3) {
  int32_t even, odd, w01, w23;
  ft_dsp_widen_by(x, minus, &even, &odd);
  memcpy(&w01, w, 4);
  memcpy(&w23, w + 2, 4);
  *s0 = __smlabb(even, w01, *s0);
  *s1 = __smlabt(odd, w01, *s1);
  *s2 = __smlatb(even, w23, *s2);
  *s3 = __smlatt(odd, w23, *s3);
}

#define FT_DSP_COPY_4                    \
  "ldr %[a], [%[x]], #4\n\t"             \
  "sxtab16 %[b], %[m], %[a]\n\t"         \
  "sxtab16 %[a], %[m], %[a], ror #8\n\t" \
  "pkhbt %[t], %[b], %[a], lsl #16\n\t"  \
  "pkhtb %[a], %[a], %[b], asr #16\n\t"  \
  "strd %[t], %[a], [%[to]], #8\n\t"

/* to = x - zero, at a multiple of 4 bytes; returns how many, a multiple of 4.
 */
static inline int32_t ft_dsp_copy_s8(const int8_t* x, int32_t count,
                                     int16_t zero, int16_t* to) {
  const int32_t minus = ft_dsp_minus(zero);
  const int8_t *end16 = x + (count & ~15), *end = x + (count & ~3);
  int32_t a, b, t;
  if ((uintptr_t)to % 4 != 0) return 0;
  while (x != end16)
    __asm volatile(
        FT_DSP_COPY_4 FT_DSP_COPY_4 FT_DSP_COPY_4 FT_DSP_COPY_4
        : [x] "+r"(x), [to] "+r"(to), [a] "=&r"(a), [b] "=&r"(b), [t] "=&r"(t)
        : [m] "r"(minus)
        : "memory");
  while (x != end)
    __asm volatile(
        FT_DSP_COPY_4
        : [x] "+r"(x), [to] "+r"(to), [a] "=&r"(a), [b] "=&r"(b), [t] "=&r"(t)
        : [m] "r"(minus)
        : "memory");
  return count & ~3;
}

/* s[j] += x w[j], rows of w `step` apart, an even number; returns how many
 * products were added to each. */
static inline int32_t ft_dsp_dot4(const int16_t* x, const int16_t* w,
                                  int32_t step, int32_t count, int32_t* s) {
  const int16_t *w1 = w + step, *w2 = w1 + step, *w3 = w2 + step;
  const int16_t* const end = x + (count & ~1);
  int32_t s0 = s[0], s1 = s[1], s2 = s[2], s3 = s[3], a, b;
  while (x != end)
    __asm volatile(
        "ldr %[a], [%[x]], #4\n\t"
        "ldr %[b], [%[w]], #4\n\t"
        "smlad %[s0], %[a], %[b], %[s0]\n\t"
        "ldr %[b], [%[w1]], #4\n\t"
        "smlad %[s1], %[a], %[b], %[s1]\n\t"
        "ldr %[b], [%[w2]], #4\n\t"
        "smlad %[s2], %[a], %[b], %[s2]\n\t"
        "ldr %[b], [%[w3]], #4\n\t"
        "smlad %[s3], %[a], %[b], %[s3]\n\t"
        : [x] "+r"(x), [w] "+r"(w), [w1] "+r"(w1), [w2] "+r"(w2), [w3] "+r"(w3),
          [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3),
          [a] "=&r"(a), [b] "=&r"(b)
        :
        : "memory");
  s[0] = s0;
  s[1] = s1;
  s[2] = s2;
  s[3] = s3;
  return count & ~1;
}

/* *sum += x w; returns how many products. */
static inline int32_t ft_dsp_dot_s16(const int16_t* x, const int16_t* w,
                                     int32_t count, int64_t* sum) {
  int64_t s = *sum;
  int32_t i, a, b;
  for (i = 0; i + 2 <= count; i += 2) {
    memcpy(&a, x + i, 4);
    memcpy(&b, w + i, 4);
    s = __smlald(a, b, s);
  }
  *sum = s;
  return count & ~1;
}

#define FT_DSP_ADD_2X2                  \
  "ldr %[e], [%[x]], #4\n\t"            \
  "ldr %[o], [%[z]], #4\n\t"            \
  "ldrd %[a], %[b], [%[p]]\n\t"         \
  "pkhbt %[t], %[e], %[o], lsl #16\n\t" \
  "pkhtb %[o], %[o], %[e], asr #16\n\t" \
  "smlad %[a], %[t], %[g], %[a]\n\t"    \
  "smlad %[b], %[o], %[g], %[b]\n\t"    \
  "strd %[a], %[b], [%[p]], #8\n\t"     \
  "ldrd %[a], %[b], [%[q]]\n\t"         \
  "smlad %[a], %[t], %[h], %[a]\n\t"    \
  "smlad %[b], %[o], %[h], %[b]\n\t"    \
  "strd %[a], %[b], [%[q]], #8\n\t"

/* Two pixels of x, next to each other, `cols` (an even number) each, and two
 * values of dy a pixel: to[0, i] += dy0[0] x[0, i] + dy1[0] x[1, i], and to[1]
 * with dy0[1] and dy1[1]. */
static inline void ft_dsp_add_2x2(const int16_t* x, int32_t cols,
                                  const int16_t* dy0, const int16_t* dy1,
                                  int32_t* to) {
  const uint32_t g = (uint16_t)dy0[0] | (uint32_t)(uint16_t)dy1[0] << 16;
  const uint32_t h = (uint16_t)dy0[1] | (uint32_t)(uint16_t)dy1[1] << 16;
  const int16_t* z = x + cols;
  const int32_t *end8 = to + (cols & ~7), *end = to + cols;
  int32_t *q = to + cols, a, b, e, o, t;
  while (to != end8)
    __asm volatile(
        FT_DSP_ADD_2X2 FT_DSP_ADD_2X2 FT_DSP_ADD_2X2 FT_DSP_ADD_2X2
        : [x] "+r"(x), [z] "+r"(z), [p] "+r"(to), [q] "+r"(q), [a] "=&r"(a),
          [b] "=&r"(b), [e] "=&r"(e), [o] "=&r"(o), [t] "=&r"(t)
        : [g] "r"(g), [h] "r"(h)
        : "memory");
  while (to != end)
    __asm volatile(
        FT_DSP_ADD_2X2
        : [x] "+r"(x), [z] "+r"(z), [p] "+r"(to), [q] "+r"(q), [a] "=&r"(a),
          [b] "=&r"(b), [e] "=&r"(e), [o] "=&r"(o), [t] "=&r"(t)
        : [g] "r"(g), [h] "r"(h)
        : "memory");
}

/* acc[0], acc[1] = the sums of products of two channels at dy and w; `list` has
 * offsets in bytes, to the values of each product. */
static inline void ft_dsp_sum_2(const int32_t* list, const int32_t* end,
                                const int16_t* dy, const int16_t* w,
                                int64_t* acc) {
  int64_t s0 = 0, s1 = 0;
  int32_t a, b;
  while (list != end)
    __asm volatile(
        "ldrd %[a], %[b], [%[list]], #8\n\t"
        "ldr %[a], [%[dy], %[a]]\n\t"
        "ldr %[b], [%[w], %[b]]\n\t"
        "smlalbb %Q[s0], %R[s0], %[a], %[b]\n\t"
        "smlaltt %Q[s1], %R[s1], %[a], %[b]\n\t"
        : [list] "+r"(list), [s0] "+r"(s0), [s1] "+r"(s1), [a] "=&r"(a),
          [b] "=&r"(b)
        : [dy] "r"(dy), [w] "r"(w)
        : "memory");
  acc[0] = s0;
  acc[1] = s1;
}

#define FT_DSP_DOT_2                  \
  "ldrd %[w0], %[w1], [%[w]], #8\n\t" \
  "ldrd %[x0], %[x1], [%[x]], #8\n\t" \
  "sxtb16 %[t], %[w0]\n\t"            \
  "smlad %[a], %[t], %[x0], %[a]\n\t" \
  "sxtb16 %[t], %[w0], ror #8\n\t"    \
  "smlad %[b], %[t], %[x0], %[b]\n\t" \
  "sxtb16 %[t], %[w1]\n\t"            \
  "smlad %[a], %[t], %[x1], %[a]\n\t" \
  "sxtb16 %[t], %[w1], ror #8\n\t"    \
  "smlad %[b], %[t], %[x1], %[b]\n\t"

/* s[0], s[1] += x times two channels of int8 w, which alternate in its bytes;
 * `count` products each, a multiple of 4. */
static inline void ft_dsp_dot_2(const int16_t* x, const int8_t* w,
                                int32_t count, int32_t* s) {
  const int16_t *end16 = x + (count & ~15), *end = x + count;
  int32_t a = s[0], b = s[1], w0, w1, x0, x1, t;
  while (x != end16)
    __asm volatile(
        FT_DSP_DOT_2 FT_DSP_DOT_2 FT_DSP_DOT_2 FT_DSP_DOT_2
        : [x] "+r"(x), [w] "+r"(w), [a] "+r"(a), [b] "+r"(b), [w0] "=&r"(w0),
          [w1] "=&r"(w1), [x0] "=&r"(x0), [x1] "=&r"(x1), [t] "=&r"(t)
        :
        : "memory");
  while (x != end)
    __asm volatile(
        FT_DSP_DOT_2
        : [x] "+r"(x), [w] "+r"(w), [a] "+r"(a), [b] "+r"(b), [w0] "=&r"(w0),
          [w1] "=&r"(w1), [x0] "=&r"(x0), [x1] "=&r"(x1), [t] "=&r"(t)
        :
        : "memory");
  s[0] = a;
  s[1] = b;
}

#endif /* FT_KERNELS_BFP_ARMDSP_H_ */
