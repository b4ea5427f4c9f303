/* int8 convolution of one group: two output pixels at a time against packed
 * pairs of output channels (quant/s8_armdsp.h).
 *
 * aux: packed weights, ft_device_channels, inv_acc_scale [out_c] float (read
 * with a low-rank side only). scratch: the windows of two pixels, widened, and
 * one as bytes. */
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/im2col_s8.h"
#include "kernels/quant/low_rank.h"
#include "kernels/quant/s8_armdsp.h"

typedef struct {
  const ft_conv_params* p;
  const ft_device_channels* channels;
  const float *h, *lora_b, *inv_acc_scale;
} conv_layer;

/* With what an adapter adds: by the arithmetic of the C99 row. */
static int8_t finish_with_side(const conv_layer* l, int32_t pixel, int32_t co,
                               int32_t sum) {
  const ft_conv_params* p = l->p;
  const ft_device_channel* c = ft_channel_list(l->channels) + co;
  int32_t acc = ft_add_wrap(sum, c->init);
  if (p->rank > 0) {
    const float side =
        l->inv_acc_scale[co] * ft_low_rank_dot(l->h + pixel * p->rank,
                                               l->lora_b + co * p->rank,
                                               p->rank, p->lora_scaling);
    acc = ft_add_wrap(acc, ft_round_to_acc(side));
  }
  acc = ft_requantize(acc, c->multiplier, -c->right) + p->y_zero_point;
  return (int8_t)ft_clamp_i32(acc, p->q_low, p->q_high);
}

static void store_pair(const conv_layer* l, int32_t pixel, int32_t co,
                       const ft_dsp_sums* s, int8_t* y) {
  const ft_conv_params* p = l->p;
  const ft_device_channel* c = ft_channel_list(l->channels) + co;
  const int is_last = co + 1 == p->out_c;
  if (l->channels->is_plain && p->rank == 0) {
    y[co] = ft_dsp_requantize(s->s0, c, p->q_low, p->q_high);
    if (!is_last)
      y[co + 1] = ft_dsp_requantize(s->s1, c + 1, p->q_low, p->q_high);
    return;
  }
  y[co] = finish_with_side(l, pixel, co, s->s0);
  if (!is_last) y[co + 1] = finish_with_side(l, pixel, co + 1, s->s1);
}

/* Pixels `pixel` and, unless `alone`, the next one. */
static void two_pixels(const conv_layer* l, const int32_t* w,
                       const int32_t* wide, int32_t k4, int32_t pixel,
                       int alone, int8_t* y) {
  const int32_t out_c = l->p->out_c;
  int32_t co, first;
  for (co = 0; co < out_c; co += 2) {
    ft_dsp_sums p0 = {0, 0}, p1 = {0, 0};
    for (first = 0; first < k4; first += FT_DSP_CHUNK) {
      const int32_t left = k4 - first;
      const int32_t count = left < FT_DSP_CHUNK ? left : FT_DSP_CHUNK;
      w = ft_dsp_dot_2x2(w, wide + first, count / 4, &p0, &p1);
    }
    store_pair(l, pixel, co, &p0, y);
    if (!alone) store_pair(l, pixel + 1, co, &p1, y + out_c);
  }
}

/* The window of one pixel, every other word of `wide`. */
static void widen_window(const ft_conv_params* p, const int8_t* x,
                         const ft_cursor* at, int32_t k, int8_t* bytes,
                         int32_t* wide) {
  int32_t i;
  const int8_t* from = bytes;
  if (ft_is_pointwise(p) && k % 4 == 0) {
    const int32_t row = at->image * p->in_h + at->oy * p->stride_h;
    from = x + (row * p->in_w + at->ox * p->stride_w) * p->in_c;
  } else {
    ft_im2col_s8(p, x, at, bytes);
  }
  for (i = 0; i < k; i += 4) ft_dsp_widen(from + i, wide + i, 2);
}

void ft_conv2d_s8_armdsp(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  int8_t* y = (int8_t*)args->out[0];
  const int32_t pixels = ft_num_pixels(p), k = p->k_h * p->k_w * p->in_c;
  const int32_t k4 = (k + 3) / 4 * 4;
  int32_t* wide =
      (int32_t*)args->scratch; /* k4 words: 2 pixels, 2 bytes each */
  int8_t* bytes = (int8_t*)(wide + k4);
  conv_layer l = {p, (const ft_device_channels*)args->aux[1],
                  (const float*)args->in[3], (const float*)args->in[4], NULL};
  ft_cursor at = ft_cursor_at(p, 0);
  int32_t pixel;
  if (p->rank > 0) l.inv_acc_scale = (const float*)args->aux[2];
  if (k % 4) memset(bytes + k / 4 * 4, 0, 4); /* weights are 0 there */
  for (pixel = 0; pixel < pixels; pixel += 2) {
    const int alone = pixel + 1 == pixels;
    widen_window(p, x, &at, k, bytes, wide);
    ft_cursor_next(p, &at);
    if (!alone) {
      widen_window(p, x, &at, k, bytes, wide + 1);
      ft_cursor_next(p, &at);
    }
    two_pixels(&l, (const int32_t*)args->aux[0], wide, k4, pixel, alone, y);
    y += 2 * p->out_c;
  }
}
