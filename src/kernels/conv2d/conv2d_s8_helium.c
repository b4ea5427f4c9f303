/* int8 convolution of one group: four output pixels at a time, one output
 * channel after the other (quant/s8_helium.h).
 *
 * aux: weights [out_c, window padded to 16], ft_device_channels, inv_acc_scale
 * [out_c] float (read with a low-rank side only). scratch: the windows of four
 * pixels, padded with 0, unless they are whole runs of the image. */
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/device_finish.h"
#include "kernels/conv2d/im2col_s8.h"
#include "kernels/quant/s8_helium.h"

enum { FT_MVE_PIXELS = 4 };

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

/* Four pixels of a plain layer without a side. */
static void plain_pixels(const ft_device_conv* l, int32_t groups,
                         const int8_t* const* x, int8_t* y) {
  const ft_conv_params* p = l->p;
  const uint32x4_t to = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)p->out_c);
  const int32x4_t low = vdupq_n_s32(p->q_low), high = vdupq_n_s32(p->q_high);
  const ft_device_channel* c = ft_channel_list(l->channels);
  const ft_device_channel* end = c + p->out_c;
  const int8_t* w = (const int8_t*)l->w;
  for (; c != end; ++c, w += 16 * groups) {
    const int32x4_t v = ft_mve_requantize(ft_mve_dot_4x1(w, x, groups), c);
    vstrbq_scatter_offset_s32(y++, to, vminq_s32(vmaxq_s32(v, low), high));
  }
}

/* Where the window of a pixel stands as one padded run: in the image, or copied
 * to `bytes`. */
static const int8_t* window_of(const ft_conv_params* p, const int8_t* x,
                               const ft_cursor* at, int8_t* bytes) {
  if (ft_is_pointwise(p) && p->in_c % 16 == 0) {
    const int32_t row = at->image * p->in_h + at->oy * p->stride_h;
    return x + (row * p->in_w + at->ox * p->stride_w) * p->in_c;
  }
  ft_im2col_s8(p, x, at, bytes);
  return bytes;
}

void ft_conv2d_s8_helium(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  int8_t* y = (int8_t*)args->out[0];
  const int32_t pixels = ft_num_pixels(p), k = p->k_h * p->k_w * p->in_c;
  const int32_t k16 = (k + 15) / 16 * 16;
  int8_t* bytes = (int8_t*)args->scratch;
  const int8_t* rows[FT_MVE_PIXELS];
  ft_cursor at = ft_cursor_at(p, 0);
  const ft_device_conv l = ft_device_conv_of(p, args);
  int32_t pixel, i;
  if (k != k16) memset(bytes, 0, (size_t)(FT_MVE_PIXELS * k16));
  for (pixel = 0; pixel < pixels; pixel += FT_MVE_PIXELS) {
    const int32_t left = pixels - pixel;
    const int32_t count = left < FT_MVE_PIXELS ? left : FT_MVE_PIXELS;
    for (i = 0; i < FT_MVE_PIXELS; ++i) {
      rows[i] = i < count ? window_of(p, x, &at, bytes + i * k16) : rows[0];
      if (i < count) ft_cursor_next(p, &at);
    }
    if (l.channels->is_plain && p->rank == 0 && count == FT_MVE_PIXELS)
      plain_pixels(&l, k16 / 16, rows, y);
    else
      any_pixels(&l, k16 / 16, rows, pixel, count, y);
    y += FT_MVE_PIXELS * p->out_c;
  }
}
