/* int8 depthwise convolution of a plain layer with one output channel for each
 * input channel, 16 lanes at a time; no copy of the image but at the border
 * where a vector holds several pixels.
 *
 * aux: weights [blocks][k_h * k_w][16], all above -128, ft_lane_block of each
 * block of 16 channels; those of several pixels repeat (depthwise_lanes.h).
 * scratch: ft_depthwise_lanes_scratch(). */
#include <arm_mve.h>

#include "kernels/depthwise_conv2d/depthwise_conv2d.h"
#include "kernels/depthwise_conv2d/depthwise_lanes.h"
#include "kernels/depthwise_conv2d/helium_walk.h"
#include "kernels/quant/s8_lanes.h"

typedef struct {
  int32x4_t v[4];
} lanes;

/* The tap at `row` times the weights at w, to `even` and `odd` halfwords. The
 * weights are loaded twice: there are 8 vectors, of which 4 are sums. */
#define FT_TAP(row, even, odd, k) \
  "vldrb.8 " odd ", [" row        \
  "]\n\t"                         \
  "vldrb.8 " k                    \
  ", [%[w]], #16\n\t"             \
  "vmullb.s8 " even ", " odd ", " k "\n\t"
#define FT_ADD_WIDENED(even, odd)      \
  "vmovlb.s16 %q[t], " even            \
  "\n\t"                               \
  "vadd.i32 %q[s0], %q[s0], %q[t]\n\t" \
  "vmovlt.s16 " even ", " even         \
  "\n\t"                               \
  "vadd.i32 %q[s2], %q[s2], " even     \
  "\n\t"                               \
  "vmovlb.s16 %q[t], " odd             \
  "\n\t"                               \
  "vadd.i32 %q[s1], %q[s1], %q[t]\n\t" \
  "vmovlt.s16 " odd ", " odd           \
  "\n\t"                               \
  "vadd.i32 %q[s3], %q[s3], " odd "\n\t"

/* Sums of 16 lanes and where they start, two taps at a time: two products of
 * bytes fit 16 bits as weights lie above -128. */
static inline lanes sum_taps(const int8_t* const* taps, int32_t count,
                             int32_t c, const int8_t* w,
                             const ft_lane_block* block) {
  int32x4_t s0 = vld1q_s32(block->init[0]), s1 = vld1q_s32(block->init[1]);
  int32x4_t s2 = vld1q_s32(block->init[2]), s3 = vld1q_s32(block->init[3]);
  int32x4_t t, u, k, l;
  const int8_t *a, *b;
  lanes sums;
  __asm volatile(
      "lsr lr, %[n], #1\n\t"
      "wls lr, lr, 2f\n"
      "1:\n\t"
      "ldrd %[a], %[b], [%[taps]], #8\n\t"
      "add %[a], %[a], %[c]\n\t"
      "add %[b], %[b], %[c]\n\t" FT_TAP("%[a]", "%q[u]", "%q[l]", "%q[k]")
      "vmullt.s8 %q[l], %q[l], %q[k]\n\t" FT_TAP("%[b]", "%q[t]", "%q[k]",
                                                "%q[t]")
      "vadd.i16 %q[u], %q[u], %q[t]\n\t"
      "vldrb.8 %q[t], [%[w], #-16]\n\t"
      "vmullt.s8 %q[k], %q[k], %q[t]\n\t"
      "vadd.i16 %q[l], %q[l], %q[k]\n\t" FT_ADD_WIDENED("%q[u]", "%q[l]")
      "le lr, 1b\n"
      "2:\n\t"
      "tst %[n], #1\n\t"
      "beq 3f\n\t"
      "ldr %[a], [%[taps]]\n\t"
      "add %[a], %[a], %[c]\n\t" FT_TAP("%[a]", "%q[u]", "%q[l]", "%q[k]")
      "vmullt.s8 %q[l], %q[l], %q[k]\n\t" FT_ADD_WIDENED("%q[u]", "%q[l]")
      "3:\n"
      : [taps] "+r"(taps), [w] "+r"(w), [s0] "+w"(s0), [s1] "+w"(s1),
        [s2] "+w"(s2), [s3] "+w"(s3), [t] "=&w"(t), [u] "=&w"(u), [k] "=&w"(k),
        [l] "=&w"(l), [a] "=&r"(a), [b] "=&r"(b)
      : [n] "r"(count), [c] "r"(c)
      : "lr", "cc", "memory");
  sums.v[0] = s0;
  sums.v[1] = s1;
  sums.v[2] = s2;
  sums.v[3] = s3;
  return sums;
}

/* `i`: where the constants of `sum` stand in a block, which holds 64 bytes of
 * each kind. */
#define FT_REQUANTIZE(sum, i)         \
  "vldrw.32 %q[t], [%[b], #64+" i     \
  "]\n\t"                             \
  "vqrdmulh.s32 %q[" sum "], %q[" sum \
  "], %q[t]\n\t"                      \
  "vshr.s32 %q[t], %q[" sum           \
  "], #31\n\t"                        \
  "vadd.i32 %q[" sum "], %q[" sum     \
  "], %q[t]\n\t"                      \
  "vldrw.32 %q[t], [%[b], #128+" i    \
  "]\n\t"                             \
  "vadd.i32 %q[" sum "], %q[" sum     \
  "], %q[t]\n\t"                      \
  "vldrw.32 %q[t], [%[b], #192+" i    \
  "]\n\t"                             \
  "vshl.s32 %q[" sum "], %q[" sum "], %q[t]\n\t"

/* Saturates to bytes, back in the order of the lanes. */
static inline int8x16_t narrow(const ft_conv_params* p, const ft_lane_block* b,
                               lanes sums) {
  int32x4_t s0 = sums.v[0], s1 = sums.v[1], s2 = sums.v[2], s3 = sums.v[3], t;
  int8x16_t y;
  __asm volatile(
      FT_REQUANTIZE("s0", "0") FT_REQUANTIZE("s1", "16")
          FT_REQUANTIZE("s2", "32") FT_REQUANTIZE("s3", "48")
      "vqmovnb.s32 %q[s0], %q[s0]\n\t"
      "vqmovnt.s32 %q[s0], %q[s2]\n\t"
      "vqmovnb.s32 %q[s1], %q[s1]\n\t"
      "vqmovnt.s32 %q[s1], %q[s3]\n\t"
      "vqmovnb.s16 %q[s0], %q[s0]\n\t"
      "vqmovnt.s16 %q[s0], %q[s1]\n\t"
      : [s0] "+w"(s0), [s1] "+w"(s1), [s2] "+w"(s2), [s3] "+w"(s3),
        [t] "=&w"(t)
      : [b] "r"(b)
      : "memory");
  y = vreinterpretq_s8_s32(s0);
  if (p->q_low == -128 && p->q_high == 127) return y;
  y = vmaxq_s8(y, vdupq_n_s8((int8_t)p->q_low));
  return vminq_s8(y, vdupq_n_s8((int8_t)p->q_high));
}

/* Channels c on, of which fewer than 16 are left. */
static void last_block(const ft_conv_params* p, const int8_t* const* taps,
                       int32_t c, int32_t bytes, const int8_t* w,
                       const ft_lane_block* block, int8_t* y) {
  const int32_t count = p->k_h * p->k_w;
  const mve_pred16_t live = vctp8q((uint32_t)(bytes - c));
  lanes sums;
  int32_t i, v;
  for (v = 0; v < 4; ++v) sums.v[v] = vld1q_s32(block->init[v]);
  for (i = 0; i < count; ++i, w += FT_LANES) {
    const int8x16_t x = vldrbq_z_s8(taps[i] + c, live), k = vldrbq_s8(w);
    const int16x8_t even = vmullbq_int_s8(x, k), odd = vmulltq_int_s8(x, k);
    sums.v[0] = vaddq_s32(sums.v[0], vmovlbq_s16(even));
    sums.v[2] = vaddq_s32(sums.v[2], vmovltq_s16(even));
    sums.v[1] = vaddq_s32(sums.v[1], vmovlbq_s16(odd));
    sums.v[3] = vaddq_s32(sums.v[3], vmovltq_s16(odd));
  }
  vstrbq_p_s8(y + c, narrow(p, block, sums), live);
}

/* All channels of a pixel, or the pixels of a vector: `bytes` at y. */
static void one_vector(const ft_conv_params* p, const ft_args* args,
                       const int8_t* const* taps, int32_t bytes, int8_t* y) {
  const int32_t count = p->k_h * p->k_w;
  const int8_t* w = (const int8_t*)args->aux[0];
  const ft_lane_block* block = (const ft_lane_block*)args->aux[1];
  int32_t c = 0;
  for (; c + FT_LANES <= bytes; c += FT_LANES, w += FT_LANES * count) {
    vstrbq_s8(y + c, narrow(p, block, sum_taps(taps, count, c, w, block)));
    ++block;
  }
  if (c < bytes) last_block(p, taps, c, bytes, w, block, y);
}

void ft_depthwise_conv2d_s8_helium(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  int8_t* y = (int8_t*)args->out[0];
  const int32_t rows = p->batch * p->out_h;
  const int32_t pixels = ft_depthwise_lanes_pixels(p);
  ft_cursor at = {0, 0, 0};
  ft_mve_walk w = ft_mve_walk_of(p, args->scratch);
  int32_t row, left;
  for (row = 0; row < rows; ++row) {
    ft_mve_walk_row(p, x, &at, pixels, &w);
    for (left = p->out_w; left > 0; left -= pixels, at.ox += pixels) {
      const int32_t count = left < pixels ? left : pixels;
      one_vector(p, args, ft_mve_walk_next(p, x, &at, pixels, &w),
                 count * p->out_c, y);
      y += count * p->out_c;
    }
    at.ox = 0;
    at.image += ++at.oy == p->out_h;
    at.oy = at.oy == p->out_h ? 0 : at.oy;
  }
}
