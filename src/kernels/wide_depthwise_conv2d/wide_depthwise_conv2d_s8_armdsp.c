/* int8 depthwise convolution with 16-bit weights of an adapter, one output
 * channel for each input channel, four at a time; no copy of the image.
 *
 * aux: ft_device_channels of sums as they are given. scratch: pointers to the
 * taps, a row of zero points. */
#include "kernels/depthwise_conv2d/dsp_taps.h"
#include "kernels/depthwise_conv2d/tap_rows.h"
#include "kernels/quant/fixed_point.h"
#include "kernels/wide_depthwise_conv2d/wide_depthwise_conv2d.h"

/* Accumulators of channels c .. c + 3. */
static inline ft_dsp_four accumulators(const int8_t* const* taps, int32_t count,
                                       int32_t c, const int16_t* w,
                                       const int32_t* start) {
  const ft_dsp_four from = {start[c], start[c + 1], start[c + 2], start[c + 3]};
  ft_dsp_four s = ft_dsp_sum_taps(taps, count, c, w, from);
  s.c0 >>= FT_WIDE_BITS;
  s.c1 >>= FT_WIDE_BITS;
  s.c2 >>= FT_WIDE_BITS;
  s.c3 >>= FT_WIDE_BITS;
  return s;
}

FT_DSP_COPIED void plain_pixel(const ft_conv_params* p,
                               const int8_t* const* taps, const int16_t* w,
                               const int32_t* start, const ft_device_channel* k,
                               int is_byte, int8_t* y) {
  const int32_t count = p->k_h * p->k_w, low = p->q_low, high = p->q_high;
  int8_t* end = y + p->out_c;
  int32_t c = 0;
  for (; y != end; y += 4, c += 4, w += 4 * count, k += 4) {
    const ft_dsp_four s = accumulators(taps, count, c, w, start);
    y[0] = ft_dsp_requantize(s.c0, k, is_byte, low, high);
    y[1] = ft_dsp_requantize(s.c1, k + 1, is_byte, low, high);
    y[2] = ft_dsp_requantize(s.c2, k + 2, is_byte, low, high);
    y[3] = ft_dsp_requantize(s.c3, k + 3, is_byte, low, high);
  }
}

static void any_pixel(const ft_conv_params* p, const int8_t* const* taps,
                      const int16_t* w, const int32_t* start,
                      const ft_device_channel* k, int8_t* y) {
  const int32_t count = p->k_h * p->k_w;
  int32_t c, i;
  for (c = 0; c < p->out_c; c += 4, w += 4 * count) {
    const ft_dsp_four s = accumulators(taps, count, c, w, start);
    const int32_t acc[4] = {s.c0, s.c1, s.c2, s.c3};
    for (i = 0; i < 4; ++i, ++k) {
      const int32_t q = ft_requantize(acc[i], k->multiplier, -k->right);
      *y++ = (int8_t)ft_clamp_i32(q + p->y_zero_point, p->q_low, p->q_high);
    }
  }
}

static void one_pixel(const ft_conv_params* p, const ft_args* args,
                      const int8_t* const* taps, int8_t* y) {
  const int16_t* w = (const int16_t*)args->in[1];
  const int32_t* start = (const int32_t*)args->in[2];
  const ft_device_channels* channels = (const ft_device_channels*)args->aux[0];
  const ft_device_channel* k = ft_channel_list(channels);
  if (!channels->is_plain)
    any_pixel(p, taps, w, start, k, y);
  else if (p->q_low == -128 && p->q_high == 127)
    plain_pixel(p, taps, w, start, k, 1, y);
  else
    plain_pixel(p, taps, w, start, k, 0, y);
}

#define FT_FN ft_wide_depthwise_conv2d_s8_armdsp
#include "kernels/depthwise_conv2d/each_pixel-inl.h"
