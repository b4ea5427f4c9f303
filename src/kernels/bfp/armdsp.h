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

#define FT_DSP_PAIR_4(from, other, at)   \
  "ldr %[a], [%[" from                   \
  "]], #4\n\t"                           \
  "ldr %[b], [%[" other                  \
  "]], #4\n\t"                           \
  "sxtab16 %[e], %[m], %[a]\n\t"         \
  "sxtab16 %[a], %[m], %[a], ror #8\n\t" \
  "sxtab16 %[f], %[m], %[b]\n\t"         \
  "sxtab16 %[b], %[m], %[b], ror #8\n\t" \
  "pkhbt %[t], %[e], %[f], lsl #16\n\t"  \
  "pkhtb %[f], %[f], %[e], asr #16\n\t"  \
  "pkhbt %[e], %[a], %[b], lsl #16\n\t"  \
  "pkhtb %[b], %[b], %[a], asr #16\n\t"  \
  "strd %[t], %[e], [%[to], #" at        \
  "]\n\t"                                \
  "strd %[f], %[b], [%[to], #16 + " at "]\n\t"

/* Where ft_dsp_interleave() puts a value of pixel `pixel`. */
static inline int32_t ft_dsp_interleaved(int32_t pixel, int32_t i) {
  return i / 2 * 8 + pixel / 2 * 4 + i % 2 * 2 + pixel % 2;
}

/* to = x - zero of four pixels, `count` values each: for two values at a time
 * those of pixels 0 and 1, then those of 2 and 3, so that a word holds one
 * value of two pixels. `to` at a multiple of 4 bytes. */
static inline void ft_dsp_interleave(const int8_t* const* x, int32_t count,
                                     int16_t zero, int16_t* to) {
  const int32_t minus = ft_dsp_minus(zero);
  const int8_t *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
  const int8_t* const end = x0 + (count & ~3);
  int16_t* at = to;
  int32_t a, b, e, f, t, i, pixel;
  for (; x0 != end; at += 16)
    __asm volatile(
        FT_DSP_PAIR_4("x0", "x1", "0") FT_DSP_PAIR_4("x2", "x3", "8")
        : [x0] "+r"(x0), [x1] "+r"(x1), [x2] "+r"(x2), [x3] "+r"(x3),
          [a] "=&r"(a), [b] "=&r"(b), [e] "=&r"(e), [f] "=&r"(f), [t] "=&r"(t)
        : [m] "r"(minus), [to] "r"(at)
        : "memory");
  for (pixel = 0; pixel < 4; ++pixel)
    for (i = count & ~3; i < count; ++i)
      to[ft_dsp_interleaved(pixel, i)] = (int16_t)(x[pixel][i] - zero);
}

#define FT_DSP_ADD_4X2                \
  "ldrd %[e], %[f], [%[x]], #16\n\t"  \
  "ldrd %[s], %[t], [%[x], #-8]\n\t"  \
  "ldrd %[a], %[b], [%[p]]\n\t"       \
  "smlad %[a], %[e], %[g0], %[a]\n\t" \
  "smlad %[b], %[f], %[g0], %[b]\n\t" \
  "smlad %[a], %[s], %[g1], %[a]\n\t" \
  "smlad %[b], %[t], %[g1], %[b]\n\t" \
  "strd %[a], %[b], [%[p]], #8\n\t"   \
  "ldrd %[a], %[b], [%[q]]\n\t"       \
  "smlad %[a], %[e], %[h0], %[a]\n\t" \
  "smlad %[b], %[f], %[h0], %[b]\n\t" \
  "smlad %[a], %[s], %[h1], %[a]\n\t" \
  "smlad %[b], %[t], %[h1], %[b]\n\t" \
  "strd %[a], %[b], [%[q]], #8\n\t"

/* Four pixels of x, interleaved, and four values of dy for each of two rows of
 * `to`, pairs of pixels to a word: p[i] += dy x[i], `count` values each, an
 * even number. */
static inline void ft_dsp_add_4x2(const int16_t* x, int32_t count,
                                  const int32_t* dy, int32_t* p, int32_t* q) {
  const int32_t g0 = dy[0], g1 = dy[1], h0 = dy[2], h1 = dy[3];
  const int32_t *end8 = p + (count & ~7), *end = p + count;
  int32_t a, b, e, f, s, t;
  while (p != end8)
    __asm volatile(
        FT_DSP_ADD_4X2 FT_DSP_ADD_4X2 FT_DSP_ADD_4X2 FT_DSP_ADD_4X2
        : [x] "+r"(x), [p] "+r"(p), [q] "+r"(q), [a] "=&r"(a), [b] "=&r"(b),
          [e] "=&r"(e), [f] "=&r"(f), [s] "=&r"(s), [t] "=&r"(t)
        : [g0] "r"(g0), [g1] "r"(g1), [h0] "r"(h0), [h1] "r"(h1)
        : "memory");
  while (p != end)
    __asm volatile(
        FT_DSP_ADD_4X2
        : [x] "+r"(x), [p] "+r"(p), [q] "+r"(q), [a] "=&r"(a), [b] "=&r"(b),
          [e] "=&r"(e), [f] "=&r"(f), [s] "=&r"(s), [t] "=&r"(t)
        : [g0] "r"(g0), [g1] "r"(g1), [h0] "r"(h0), [h1] "r"(h1)
        : "memory");
}

/* One value of two pixels to a word. */
static inline int32_t ft_dsp_pair(int16_t first, int16_t second) {
  return (int32_t)((uint16_t)first | (uint32_t)(uint16_t)second << 16);
}

/* p[i] += dy x[i], of one row, values from `first` on. */
static inline void ft_dsp_add_4x1(const int16_t* x, int32_t first,
                                  int32_t count, const int32_t* dy,
                                  int32_t* p) {
  int32_t i, pair;
  for (i = first; i < count; ++i) {
    memcpy(&pair, x + ft_dsp_interleaved(0, i), 4);
    p[i] = __smlad(pair, dy[0], p[i]);
    memcpy(&pair, x + ft_dsp_interleaved(2, i), 4);
    p[i] = __smlad(pair, dy[1], p[i]);
  }
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
