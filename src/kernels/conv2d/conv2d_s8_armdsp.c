/* int8 convolution of one group: two output pixels at a time against packed
 * pairs of output channels (quant/s8_armdsp.h).
 *
 * aux: packed weights, ft_device_channels, inv_acc_scale [out_c] float (read
 * with a low-rank side only). scratch: the windows of two pixels, widened, and
 * one as bytes. */
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/device_finish.h"
#include "kernels/conv2d/dsp_window.h"
#include "kernels/quant/s8_armdsp.h"

/* Pixels `pixel` and, unless `alone`, the next one. */
static void any_pixels(const ft_device_conv* l, const int32_t* wide, int32_t k4,
                       int32_t pixel, int alone, int8_t* y) {
  const int32_t out_c = l->p->out_c;
  const int32_t* w = (const int32_t*)l->w;
  int32_t co, i;
  for (co = 0; co < out_c; co += 2) {
    ft_dsp_sums s[2] = {{0, 0}, {0, 0}};
    w = ft_dsp_dot_all_2x2(w, wide, k4, &s[0], &s[1]);
    for (i = 0; i < 2 - alone; ++i) {
      int8_t* to = y + i * out_c + co;
      to[0] = ft_device_conv_finish(l, pixel + i, co, s[i].s0);
      if (co + 1 < out_c)
        to[1] = ft_device_conv_finish(l, pixel + i, co + 1, s[i].s1);
    }
  }
}

/* Two pixels with a side of four values, the rank that most adapters have, and
 * an even number of output channels. */
static void side_pixels(const ft_device_conv* l, const int32_t* wide,
                        int32_t k4, int32_t pixel, int8_t* y) {
  const int32_t out_c = l->p->out_c;
  const float* h = l->h + pixel * 4;
  const int32_t* w = (const int32_t*)l->w;
  int32_t co;
  for (co = 0; co < out_c; co += 2) {
    ft_dsp_sums s0 = {0, 0}, s1 = {0, 0};
    w = ft_dsp_dot_all_2x2(w, wide, k4, &s0, &s1);
    y[co] = ft_device_side_finish(l, h, 4, co, s0.s0);
    y[co + 1] = ft_device_side_finish(l, h, 4, co + 1, s0.s1);
    y[out_c + co] = ft_device_side_finish(l, h + 4, 4, co, s1.s0);
    y[out_c + co + 1] = ft_device_side_finish(l, h + 4, 4, co + 1, s1.s1);
  }
}

/* Two pixels of a plain layer without a side and with an even number of output
 * channels. */
FT_DSP_COPIED void plain_pixels(const ft_device_conv* l, const int32_t* wide,
                                int32_t k4, int is_byte, int8_t* y) {
  const int32_t low = l->p->q_low, high = l->p->q_high;
  const int8_t* end = y + l->p->out_c;
  int8_t* z = y + l->p->out_c;
  const ft_device_channel* c = ft_channel_list(l->channels);
  const int32_t* w = (const int32_t*)l->w;
  for (; y != end; c += 2, y += 2, z += 2) {
    ft_dsp_sums s0 = {0, 0}, s1 = {0, 0};
    const int32_t* x = wide;
    int32_t left = k4;
    for (; left > FT_DSP_CHUNK; left -= FT_DSP_CHUNK, x += FT_DSP_CHUNK)
      w = ft_dsp_dot_2x2(w, x, FT_DSP_CHUNK / 4, &s0, &s1);
    w = ft_dsp_dot_2x2(w, x, left / 4, &s0, &s1);
    y[0] = ft_dsp_requantize(s0.s0, c, is_byte, low, high);
    z[0] = ft_dsp_requantize(s1.s0, c, is_byte, low, high);
    y[1] = ft_dsp_requantize(s0.s1, c + 1, is_byte, low, high);
    z[1] = ft_dsp_requantize(s1.s1, c + 1, is_byte, low, high);
  }
}

static void two_pixels(const ft_device_conv* l, const int32_t* wide, int32_t k4,
                       int32_t pixel, int alone, int8_t* y) {
  const ft_conv_params* p = l->p;
  if (p->rank == 4 && !alone && p->out_c % 2 == 0)
    side_pixels(l, wide, k4, pixel, y);
  else if (!l->channels->is_plain || p->rank > 0 || alone || p->out_c % 2)
    any_pixels(l, wide, k4, pixel, alone, y);
  else if (p->q_low == -128 && p->q_high == 127)
    plain_pixels(l, wide, k4, 1, y);
  else
    plain_pixels(l, wide, k4, 0, y);
}

void ft_conv2d_s8_armdsp(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  const ft_part part = ft_part_of(args, ft_num_pixels(p));
  int8_t* y = (int8_t*)args->out[0] + part.first * p->out_c;
  const int32_t k = p->k_h * p->k_w * p->in_c;
  const int32_t k4 = (k + 3) / 4 * 4;
  int32_t* wide =
      (int32_t*)args->scratch; /* k4 words: 2 pixels, 2 bytes each */
  int8_t* bytes = (int8_t*)(wide + k4);
  const ft_device_conv l = ft_device_conv_of(p, args);
  ft_cursor at = ft_cursor_at(p, part.first);
  int32_t pixel;
  if (k % 4) memset(bytes + k / 4 * 4, 0, 4); /* weights are 0 there */
  for (pixel = part.first; pixel < part.end; pixel += 2) {
    const int alone = pixel + 1 == part.end;
    ft_dsp_window(p, x, &at, k, bytes, wide);
    ft_cursor_next(p, &at);
    if (!alone) {
      ft_dsp_window(p, x, &at, k, bytes, wide + 1);
      ft_cursor_next(p, &at);
    }
    two_pixels(&l, wide, k4, pixel, alone, y);
    y += 2 * p->out_c;
  }
}
