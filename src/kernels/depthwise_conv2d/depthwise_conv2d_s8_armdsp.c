/* int8 depthwise convolution with one output channel for each input channel,
 * four channels at a time; no copy of the image.
 *
 * aux: weights as halfwords [out_c / 4][k_h * k_w][channels 0, 2, 1, 3],
 * ft_device_channels. scratch: pointers to the taps, a row of zero points. */
#include "kernels/depthwise_conv2d/depthwise_conv2d.h"
#include "kernels/depthwise_conv2d/tap_rows.h"
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
} four_sums;

/* Of channels c .. c + 3. */
static inline four_sums sum_taps(const int8_t* const* taps, int32_t count,
                                 int32_t c, const int16_t* w) {
  const int8_t* const* end3 = taps + count / 3 * 3;
  const int8_t* const* end = taps + count;
  int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, r, e, o, w0, w1;
  four_sums sums;
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

FT_DSP_COPIED void plain_pixel(const ft_conv_params* p,
                               const int8_t* const* taps, const int16_t* w,
                               const ft_device_channel* k, int is_byte,
                               int8_t* y) {
  const int32_t count = p->k_h * p->k_w, low = p->q_low, high = p->q_high;
  int8_t* end = y + p->out_c;
  int32_t c = 0;
  for (; y != end; y += 4, c += 4, w += 4 * count, k += 4) {
    const four_sums s = sum_taps(taps, count, c, w);
    y[0] = ft_dsp_requantize(s.c0, k, is_byte, low, high);
    y[1] = ft_dsp_requantize(s.c1, k + 1, is_byte, low, high);
    y[2] = ft_dsp_requantize(s.c2, k + 2, is_byte, low, high);
    y[3] = ft_dsp_requantize(s.c3, k + 3, is_byte, low, high);
  }
}

static void any_pixel(const ft_conv_params* p, const int8_t* const* taps,
                      const int16_t* w, const ft_device_channel* k, int8_t* y) {
  const int32_t count = p->k_h * p->k_w;
  int32_t c, i;
  for (c = 0; c < p->out_c; c += 4, w += 4 * count) {
    const four_sums s = sum_taps(taps, count, c, w);
    const int32_t sums[4] = {s.c0, s.c1, s.c2, s.c3};
    for (i = 0; i < 4; ++i, ++k) {
      const int32_t acc = (int32_t)((uint32_t)sums[i] + (uint32_t)k->init);
      const int32_t q = ft_requantize(acc, k->multiplier, -k->right);
      *y++ = (int8_t)ft_clamp_i32(q + p->y_zero_point, p->q_low, p->q_high);
    }
  }
}

static void one_pixel(const ft_conv_params* p, const ft_args* args,
                      const int8_t* const* taps, int8_t* y) {
  const int16_t* w = (const int16_t*)args->aux[0];
  const ft_device_channels* channels = (const ft_device_channels*)args->aux[1];
  const ft_device_channel* k = ft_channel_list(channels);
  if (!channels->is_plain)
    any_pixel(p, taps, w, k, y);
  else if (p->q_low == -128 && p->q_high == 127)
    plain_pixel(p, taps, w, k, 1, y);
  else
    plain_pixel(p, taps, w, k, 0, y);
}

#define FT_FN ft_depthwise_conv2d_s8_armdsp
#include "kernels/depthwise_conv2d/each_pixel-inl.h"
