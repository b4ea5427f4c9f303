/* int8 depthwise convolution with 16-bit weights of an adapter, one output
 * channel for each input channel, four at a time.
 *
 * aux: ft_device_channels of sums as they are given. scratch: pointers to the
 * taps, a row of zero points. */
#include <arm_mve.h>

#include "kernels/depthwise_conv2d/tap_rows.h"
#include "kernels/quant/s8_helium.h"
#include "kernels/wide_depthwise_conv2d/wide_depthwise_conv2d.h"

/* Weights stand as channels 0, 2, 1, 3: so does everything else here. */
static const uint32_t kOrder[4] = {0, 2, 1, 3};

/* Of four channels, from `sums` on. Two taps at a time. */
static inline int32x4_t sum_taps(const int8_t* const* taps, int32_t count,
                                 const int16_t* w, uint32x4_t channels,
                                 int32x4_t sums) {
  int32x4_t x, k;
  const int8_t *a, *b;
  __asm volatile(
      "lsr lr, %[n], #1\n\t"
      "wls lr, lr, 2f\n"
      "1:\n\t"
      "ldrd %[a], %[b], [%[taps]], #8\n\t"
      "vldrb.s32 %q[x], [%[a], %q[c]]\n\t"
      "vldrh.s32 %q[k], [%[w]], #8\n\t"
      "vmul.i32 %q[x], %q[x], %q[k]\n\t"
      "vadd.i32 %q[s], %q[s], %q[x]\n\t"
      "vldrb.s32 %q[x], [%[b], %q[c]]\n\t"
      "vldrh.s32 %q[k], [%[w]], #8\n\t"
      "vmul.i32 %q[x], %q[x], %q[k]\n\t"
      "vadd.i32 %q[s], %q[s], %q[x]\n\t"
      "le lr, 1b\n"
      "2:\n\t"
      "tst %[n], #1\n\t"
      "beq 3f\n\t"
      "ldr %[a], [%[taps]]\n\t"
      "vldrb.s32 %q[x], [%[a], %q[c]]\n\t"
      "vldrh.s32 %q[k], [%[w]]\n\t"
      "vmul.i32 %q[x], %q[x], %q[k]\n\t"
      "vadd.i32 %q[s], %q[s], %q[x]\n\t"
      "3:\n"
      : [taps] "+r"(taps), [w] "+r"(w), [s] "+w"(sums), [x] "=&w"(x),
        [k] "=&w"(k), [a] "=&r"(a), [b] "=&r"(b)
      : [n] "r"(count), [c] "w"(channels)
      : "lr", "cc", "memory");
  return sums;
}

static void one_pixel(const ft_conv_params* p, const ft_args* args,
                      const int8_t* const* taps, int8_t* y) {
  const int16_t* w = (const int16_t*)args->in[1];
  const int32_t* start = (const int32_t*)args->in[2];
  const ft_device_channels* all = (const ft_device_channels*)args->aux[0];
  const int32_t* k = (const int32_t*)(const void*)ft_channel_list(all);
  const int32x4_t low = vdupq_n_s32(p->q_low), high = vdupq_n_s32(p->q_high);
  const uint32x4_t order = vld1q_u32(kOrder);
  const uint32x4_t words = vshlq_n_u32(order, 2); /* of 4 a channel */
  const int32_t count = p->k_h * p->k_w;
  int32_t c;
  for (c = 0; c < p->out_c; c += 4, w += 4 * count, k += 16) {
    int32x4_t v = vldrwq_gather_shifted_offset_s32(start + c, order);
    const int32x4_t multiplier = vldrwq_gather_shifted_offset_s32(k + 1, words);
    const int32x4_t right = vldrwq_gather_shifted_offset_s32(k + 3, words);
    v = sum_taps(taps, count, w, vaddq_n_u32(order, (uint32_t)c), v);
    v = vshrq_n_s32(v, FT_WIDE_BITS);
    if (all->is_plain) {
      v = vqrdmulhq_s32(v, multiplier);
      v = vaddq_s32(v, vshrq_n_s32(v, 31));
      v = vaddq_s32(v, vldrwq_gather_shifted_offset_s32(k + 2, words));
      v = vshlq_s32(v, vnegq_s32(right));
    } else {
      v = vaddq_n_s32(ft_mve_requantize(v, multiplier, right), p->y_zero_point);
    }
    v = vminq_s32(vmaxq_s32(v, low), high);
    vstrbq_scatter_offset_s32(y + c, order, v);
  }
}

#define FT_FN ft_wide_depthwise_conv2d_s8_helium
#include "kernels/depthwise_conv2d/each_pixel-inl.h"
