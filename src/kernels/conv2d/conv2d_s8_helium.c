/* int8 convolution of one group: four output pixels at a time, one output
 * channel after the other (quant/s8_helium.h).
 *
 * aux: weights [out_c, window padded to 16], ft_device_channels, inv_acc_scale
 * [out_c] float (read with a low-rank side only). scratch: the windows of four
 * pixels, padded with 0, unless they are whole runs of the image. */
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/device_finish.h"
#include "kernels/conv2d/helium_pixels.h"

static void any_pixels(const ft_device_conv* l, int32_t groups,
                       const int8_t* const* x, int32_t pixel, int32_t count,
                       int8_t* y) {
  const int32_t out_c = l->p->out_c;
  const int8_t* w = (const int8_t*)l->w;
  int32_t co, i;
  for (co = 0; co < out_c; ++co, w += 16 * groups) {
    int32_t sums[FT_MVE_PIXELS];
    vst1q_s32(sums, ft_mve_dot_4x1(w, x, groups));
    for (i = 0; i < count; ++i)
      y[i * out_c + co] = ft_device_conv_finish(l, pixel + i, co, sums[i]);
  }
}

/* What an adapter adds to channel co of four pixels, whose h stand side by
 * side.
 */
static inline int32x4_t side_of(const ft_device_conv* l, float (*h)[4],
                                int32_t co) {
  const int32_t rank = l->p->rank;
  const float* b = l->lora_b + co * rank;
  float32x4_t side = vdupq_n_f32(0);
  int32_t i;
  for (i = 0; i < rank; ++i)
    side = vaddq_f32(side, vmulq_n_f32(vld1q_f32(h[i]), b[i]));
  side = vmulq_n_f32(side, l->p->lora_scaling);
  return ft_mve_round_to_acc(vmulq_n_f32(side, l->inv_acc_scale[co]));
}

/* Four pixels from `pixel` on, with a side of at most FT_MVE_RANK. */
static void side_pixels(const ft_device_conv* l, int32_t groups,
                        const int8_t* const* x, int32_t pixel, int8_t* y) {
  const ft_conv_params* p = l->p;
  const ft_device_channel* c = ft_channel_list(l->channels);
  const int8_t* w = (const int8_t*)l->w;
  const uint32x4_t to = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)p->out_c);
  const int32x4_t low = vdupq_n_s32(p->q_low), high = vdupq_n_s32(p->q_high);
  float h[FT_MVE_RANK][4];
  int32_t co, i, j;
  for (i = 0; i < p->rank; ++i)
    for (j = 0; j < FT_MVE_PIXELS; ++j)
      h[i][j] = l->h[(pixel + j) * p->rank + i];
  for (co = 0; co < p->out_c; ++co, ++c, w += 16 * groups) {
    int32x4_t v = vaddq_n_s32(ft_mve_dot_4x1(w, x, groups), c->init);
    v = vaddq_s32(v, side_of(l, h, co));
    v = ft_mve_requantize(v, vdupq_n_s32(c->multiplier), vdupq_n_s32(c->right));
    v = vminq_s32(vmaxq_s32(vaddq_n_s32(v, p->y_zero_point), low), high);
    vstrbq_scatter_offset_s32(y++, to, v);
  }
}

FT_MVE_DEFINE_PIXELS(pixels_1, ft_device_conv, FT_MVE_LOAD_ROWS,
                     FT_MVE_UNROLLED_CHANNELS, ft_mve_dot_1(&w, x0, x1, x2, x3))
FT_MVE_DEFINE_PIXELS(pixels_2, ft_device_conv, FT_MVE_LOAD_POINTERS,
                     FT_MVE_UNROLLED_CHANNELS, ft_mve_dot_2(&w, x0, x1, x2, x3))
FT_MVE_DEFINE_PIXELS(pixels_4, ft_device_conv, FT_MVE_LOAD_POINTERS,
                     FT_MVE_UNROLLED_CHANNELS, ft_mve_dot_4(&w, x0, x1, x2, x3))
FT_MVE_DEFINE_PIXELS(pixels_8, ft_device_conv, FT_MVE_LOAD_POINTERS,
                     FT_MVE_LOOPED_CHANNELS, ft_mve_dot_8(&w, x0, x1, x2, x3))
FT_MVE_DEFINE_PIXELS(pixels_any, ft_device_conv, , FT_MVE_LOOPED_CHANNELS,
                     ft_mve_dot_any(&w, x, groups))

static void plain_pixels(const ft_device_conv* l, int32_t groups,
                         const int8_t* const* x, int8_t* y) {
  switch (groups) {
    case 1: pixels_1(l, groups, x, y); break;
    case 2: pixels_2(l, groups, x, y); break;
    case 4: pixels_4(l, groups, x, y); break;
    case 8: pixels_8(l, groups, x, y); break;
    default: pixels_any(l, groups, x, y);
  }
}

void ft_conv2d_s8_helium(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  const ft_part part = ft_part_of(args, ft_num_pixels(p));
  int8_t* y = (int8_t*)args->out[0] + part.first * p->out_c;
  const int32_t k = p->k_h * p->k_w * p->in_c;
  const int32_t k16 = (k + 15) / 16 * 16;
  int8_t* bytes = (int8_t*)args->scratch;
  const int8_t* rows[FT_MVE_PIXELS];
  ft_cursor at = ft_cursor_at(p, part.first);
  const ft_device_conv l = ft_device_conv_of(p, args);
  const int is_plain =
      l.channels->is_plain && p->rank == 0 && p->out_c % 4 == 0;
  int32_t pixel, i;
  if (k != k16) memset(bytes, 0, (size_t)(FT_MVE_PIXELS * k16));
  for (pixel = part.first; pixel < part.end; pixel += FT_MVE_PIXELS) {
    const int32_t left = part.end - pixel;
    const int32_t count = left < FT_MVE_PIXELS ? left : FT_MVE_PIXELS;
    for (i = 0; i < FT_MVE_PIXELS; ++i) {
      rows[i] =
          i < count ? ft_mve_window(p, x, &at, k16, bytes + i * k16) : rows[0];
      if (i < count) ft_cursor_next(p, &at);
    }
    if (is_plain && count == FT_MVE_PIXELS)
      plain_pixels(&l, k16 / 16, rows, y);
    else if (p->rank > 0 && p->rank <= FT_MVE_RANK && count == FT_MVE_PIXELS)
      side_pixels(&l, k16 / 16, rows, pixel, y);
    else
      any_pixels(&l, k16 / 16, rows, pixel, count, y);
    y += FT_MVE_PIXELS * p->out_c;
  }
}
