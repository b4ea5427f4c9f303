/* int8 depthwise convolution with 16-bit weights of an adapter, one output
 * channel for each input channel, eight at a time, of a plain layer.
 *
 * aux: ft_wide_constants of each block of eight channels. scratch:
 * ft_wide_helium_scratch(): the weights again, in whole vectors. */
#include <arm_mve.h>

#include "kernels/depthwise_conv2d/helium_walk.h"
#include "kernels/wide_depthwise_conv2d/helium_blocks.h"

/* Vectors hold even channels and odd ones, as widening products leave them. */
typedef struct {
  int32x4_t even, odd;
} lanes;

/* The weights of a block stand as [taps][8] behind what its sums begin with. */
static int16_t* weights_of(int32_t* block) { return (int16_t*)(block + 8); }

/* Four channels at a time, which the adapter has as 0, 2, 1, 3. */
static void copy_weights(const ft_conv_params* p, const int16_t* w,
                         const int32_t* start, int32_t* blocks) {
  static const uint32_t kOrder[4] = {0, 2, 1, 3};
  static const uint32_t kStarts[4] = {0, 4, 1, 5};
  const uint32x4_t order = vld1q_u32(kOrder), starts = vld1q_u32(kStarts);
  const int32_t taps = p->k_h * p->k_w, words = ft_wide_block_words(taps);
  int32_t c, i;
  memset(blocks, 0, (size_t)ft_wide_blocks_bytes(p));
  for (c = 0; c < p->out_c; c += 4) {
    int32_t* block = blocks + c / 8 * words;
    int16_t* to = weights_of(block) + c % 8;
    const int32x4_t from =
        vldrwq_z_s32(start + c, vctp32q((uint32_t)(p->out_c - c)));
    vstrwq_scatter_shifted_offset_s32(block + c % 8 / 2, starts, from);
    for (i = 0; i < taps; ++i, w += 4, to += 8)
      vstrhq_scatter_shifted_offset_s32(to, order, vldrhq_s32(w));
  }
}

/* Eight channels under one tap, `off` bytes behind `at`. */
#define FT_TAP(at, off, w, even, odd)  \
  "vldrb.s16 %q[x], [%[" at "], #" off \
  "]\n\t"                              \
  "vldrh.16 %q[k], [%[" w              \
  "]], #16\n\t"                        \
  "vmullb.s16 %q[t], %q[x], %q[k]\n\t" \
  "vadd.i32 %q[" even "], %q[" even    \
  "], %q[t]\n\t"                       \
  "vmullt.s16 %q[t], %q[x], %q[k]\n\t" \
  "vadd.i32 %q[" odd "], %q[" odd "], %q[t]\n\t"
#define FT_TAP_8(at) \
  "add %[" at "], %[" at "], %[c]\n\t" FT_TAP(at, "0", "w", "even", "odd")
#define FT_TAP_16(at) FT_TAP_8(at) FT_TAP(at, "8", "v", "more", "rest")

/* Two taps at a time. */
#define FT_TAPS(tap) \
  "lsr lr, %[n], #1\n\t"                                 \
  "wls lr, lr, 2f\n"                                     \
  "1:\n\t"                                               \
  "ldrd %[a], %[b], [%[taps]], #8\n\t" tap("a") tap("b") \
  "le lr, 1b\n"                                          \
  "2:\n\t"                                               \
  "tst %[n], #1\n\t"                                     \
  "beq 3f\n\t"                                           \
  "ldr %[a], [%[taps]]\n\t" tap("a")                     \
  "3:\n"

/* Of channels c .. c + 7. */
static inline lanes sum_8(const int8_t* const* taps, int32_t count, int32_t c,
                          int32_t* block) {
  const int16_t* w = weights_of(block);
  lanes s = {vld1q_s32(block), vld1q_s32(block + 4)};
  int16x8_t x, k, t;
  const int8_t *a, *b;
  __asm volatile(
      FT_TAPS(FT_TAP_8)
      : [taps] "+r"(taps), [w] "+r"(w), [even] "+w"(s.even), [odd] "+w"(s.odd),
        [x] "=&w"(x), [k] "=&w"(k), [t] "=&w"(t), [a] "=&l"(a), [b] "=&l"(b)
      : [n] "r"(count), [c] "r"(c)
      : "lr", "cc", "memory");
  return s;
}

/* Of channels c .. c + 15: those of this block and of `next`. */
static inline lanes sum_16(const int8_t* const* taps, int32_t count, int32_t c,
                           int32_t* block, int32_t* next, lanes* others) {
  const int16_t *w = weights_of(block), *v = weights_of(next);
  lanes s = {vld1q_s32(block), vld1q_s32(block + 4)};
  lanes o = {vld1q_s32(next), vld1q_s32(next + 4)};
  int16x8_t x, k, t;
  const int8_t *a, *b;
  __asm volatile(
      FT_TAPS(FT_TAP_16)
      : [taps] "+r"(taps), [w] "+r"(w), [v] "+r"(v), [even] "+w"(s.even),
        [odd] "+w"(s.odd), [more] "+w"(o.even), [rest] "+w"(o.odd),
        [x] "=&w"(x), [k] "=&w"(k), [t] "=&w"(t), [a] "=&l"(a), [b] "=&l"(b)
      : [n] "r"(count), [c] "r"(c)
      : "lr", "cc", "memory");
  *others = o;
  return s;
}

/* The same of fewer than eight channels. */
static lanes sum_some(const int8_t* const* taps, int32_t count, int32_t c,
                      mve_pred16_t live, int32_t* block) {
  const int16_t* w = weights_of(block);
  lanes s = {vld1q_s32(block), vld1q_s32(block + 4)};
  int32_t i;
  for (i = 0; i < count; ++i, w += 8) {
    const int16x8_t x = vldrbq_z_s16(taps[i] + c, live), k = vld1q_s16(w);
    s.even = vaddq_s32(s.even, vmullbq_int_s16(x, k));
    s.odd = vaddq_s32(s.odd, vmulltq_int_s16(x, k));
  }
  return s;
}

/* `half`: 0 for even channels, 1 for odd ones. */
static inline int32x4_t requantized(int32x4_t v, const ft_wide_constants* k,
                                    int half) {
  v = vshrq_n_s32(v, FT_WIDE_BITS);
  v = vqrdmulhq_s32(v, vld1q_s32(k->multiplier[half]));
  v = vaddq_s32(v, vshrq_n_s32(v, 31));
  v = vaddq_s32(v, vld1q_s32(k->offset[half]));
  return vshlq_s32(v, vld1q_s32(k->left[half]));
}

static inline int16x8_t finished(const ft_conv_params* p, lanes s,
                                 const ft_wide_constants* k) {
  const int32x4_t even = requantized(s.even, k, 0);
  int16x8_t v = vqmovnbq_s32(vreinterpretq_s16_s32(even), even);
  v = vqmovntq_s32(v, requantized(s.odd, k, 1));
  v = vmaxq_s16(v, vdupq_n_s16((int16_t)p->q_low));
  return vminq_s16(v, vdupq_n_s16((int16_t)p->q_high));
}

static void one_pixel(const ft_conv_params* p, const ft_wide_constants* k,
                      const int8_t* const* taps, int32_t* block, int8_t* y) {
  const int32_t count = p->k_h * p->k_w, words = ft_wide_block_words(count);
  const int32_t out_c = p->out_c;
  int32_t c = 0;
  for (; c + 16 <= out_c; c += 16, k += 2, block += 2 * words) {
    lanes others;
    const lanes s = sum_16(taps, count, c, block, block + words, &others);
    vstrbq_s16(y + c, finished(p, s, k));
    vstrbq_s16(y + c + 8, finished(p, others, k + 1));
  }
  for (; c + 8 <= out_c; c += 8, ++k, block += words)
    vstrbq_s16(y + c, finished(p, sum_8(taps, count, c, block), k));
  if (c < out_c) {
    const mve_pred16_t live = vctp16q((uint32_t)(out_c - c));
    vstrbq_p_s16(y + c, finished(p, sum_some(taps, count, c, live, block), k),
                 live);
  }
}

void ft_wide_depthwise_conv2d_s8_helium(const void* params,
                                        const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  const ft_wide_constants* k = (const ft_wide_constants*)args->aux[0];
  int8_t* y = (int8_t*)args->out[0];
  int32_t* blocks = (int32_t*)args->scratch;
  ft_mve_walk w =
      ft_mve_walk_of(p, (int8_t*)args->scratch + ft_wide_blocks_bytes(p));
  ft_cursor at = ft_cursor_at(p, 0);
  int32_t row;
  copy_weights(p, (const int16_t*)args->in[1], (const int32_t*)args->in[2],
               blocks);
  for (row = 0; row < p->batch * p->out_h; ++row) {
    ft_mve_walk_row(p, x, &at, 1, &w);
    do {
      one_pixel(p, k, ft_mve_walk_next(p, x, &at, 1, &w), blocks, y);
      y += p->out_c;
      ft_cursor_next(p, &at);
    } while (at.ox > 0);
  }
}
