/* int8 depthwise convolution with a float difference of its weights, one output
 * channel for each input channel, a word of four at a time.
 *
 * aux: weights [k_h * k_w, out_c], ft_device_channels, inv_w_scale [out_c].
 * in[3]: w_delta. scratch: pointers to the taps, a row of zero points, for
 * which the difference adds 0. */
#include "kernels/depthwise_conv2d/depthwise_conv2d.h"
#include "kernels/depthwise_conv2d/tap_rows.h"
#include "kernels/quant/low_rank.h"
#include "kernels/quant/s8_armdsp.h"

typedef struct {
  int32_t acc[4];
  float side[4];
} four_sums;

#define FT_CHANNEL(i)                                     \
  v = (int8_t)((uint32_t)xs >> (8 * i));                  \
  a##i += v * (int32_t)(int8_t)((uint32_t)ws >> (8 * i)); \
  s##i += (float)(v - zero) * delta[i];

/* Of channels c .. c + 3. */
static inline four_sums sum_taps(const ft_conv_params* p,
                                 const int8_t* const* taps, const int8_t* w,
                                 const float* delta, int32_t c) {
  const int8_t* const* end = taps + p->k_h * p->k_w;
  const int32_t zero = p->x_zero_point, out_c = p->out_c;
  int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, v;
  float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (w += c, delta += c; taps != end; ++taps, w += out_c, delta += out_c) {
    const int32_t xs = ft_dsp_load(*taps + c), ws = ft_dsp_load(w);
    FT_CHANNEL(0)
    FT_CHANNEL(1)
    FT_CHANNEL(2)
    FT_CHANNEL(3)
  }
  {
    const four_sums s = {{a0, a1, a2, a3}, {s0, s1, s2, s3}};
    return s;
  }
}

static void one_pixel(const ft_conv_params* p, const ft_args* args,
                      const int8_t* const* taps, int8_t* y) {
  const int8_t* w = (const int8_t*)args->aux[0];
  const ft_device_channel* k =
      ft_channel_list((const ft_device_channels*)args->aux[1]);
  const float* inv_w_scale = (const float*)args->aux[2];
  int32_t c, i;
  for (c = 0; c < p->out_c; c += 4) {
    const four_sums s = sum_taps(p, taps, w, (const float*)args->in[3], c);
    for (i = 0; i < 4; ++i, ++k) {
      int32_t acc = ft_add_wrap(s.acc[i], k->init);
      acc = ft_add_wrap(acc, ft_round_to_acc(s.side[i] * *inv_w_scale++));
      acc = ft_requantize(acc, k->multiplier, -k->right) + p->y_zero_point;
      *y++ = (int8_t)ft_clamp_i32(acc, p->q_low, p->q_high);
    }
  }
}

#define FT_FN ft_depthwise_conv2d_side_s8_armdsp
#include "kernels/depthwise_conv2d/each_pixel-inl.h"
