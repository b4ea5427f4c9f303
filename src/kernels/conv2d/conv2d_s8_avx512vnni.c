/* int8 convolution of one group: blocks of image rows under the kernel, copied
 * as unsigned bytes, times packed weights. */
#include "kernels/conv2d/conv2d.h"
#include "kernels/quant/s8_gemm_avx512.h"

static int32_t kernel_size(const ft_conv_params* p) {
  return p->k_h * p->k_w * p->in_c;
}

int ft_conv2d_s8_avx512vnni_available(void) { return ft_has_avx512vnni(); }

size_t ft_conv2d_s8_avx512vnni_packed_bytes(const ft_conv_params* p) {
  return (size_t)ft_s8_padded(p->out_c) *
         (size_t)((kernel_size(p) + 3) / 4 * 4);
}

size_t ft_conv2d_s8_avx512vnni_channels_bytes(const ft_conv_params* p) {
  return (size_t)(ft_s8_padded(p->out_c) / FT_S8_PANEL) *
         sizeof(ft_s8_channels);
}

size_t ft_conv2d_s8_avx512vnni_scratch_bytes(const ft_conv_params* p) {
  const size_t rows =
      (size_t)FT_S8_BLOCK * (size_t)((kernel_size(p) + 3) / 4 * 4);
  return rows +
         sizeof(float) * (size_t)ft_s8_padded(p->out_c) * (size_t)p->rank;
}

void ft_conv2d_s8_avx512vnni_pack(const ft_conv_params* p, const int8_t* w,
                                  const int32_t* bias,
                                  const int32_t* multiplier,
                                  const int32_t* shift, void* packed,
                                  void* channels) {
  ft_s8_pack_weights(w, p->out_c, kernel_size(p), bias, p->x_zero_point,
                     multiplier, shift, (int8_t*)packed,
                     (ft_s8_channels*)channels);
}

/* One row: all image bytes under the kernel; outside of the image real 0. */
static void copy_window(const ft_conv_params* p, const ft_window* win,
                        const int8_t* x, int32_t row_bytes, uint8_t* row) {
  const int32_t step = ft_run_columns(p, win);
  int32_t ky, kx;
  if (win->ky_end - win->ky_begin != p->k_h ||
      win->kx_end - win->kx_begin != p->k_w)
    memset(row, p->x_zero_point + 128, (size_t)row_bytes);
  for (ky = win->ky_begin; ky < win->ky_end; ++ky)
    for (kx = win->kx_begin; kx < win->kx_end; kx += step)
      ft_copy_unsigned(x + ft_x_index(p, win, ky, kx), step * p->in_c,
                       row + (ky * p->k_w + kx) * p->in_c);
}

static void copy_block(const ft_conv_params* p, const int8_t* x, int32_t first,
                       int32_t count, int32_t row_bytes, uint8_t* rows) {
  const int whole = p->k_h == 1 && p->k_w == 1 && p->stride_h == 1 &&
                    p->stride_w == 1 && p->pad_top == 0 && p->pad_left == 0 &&
                    p->out_h == p->in_h && p->out_w == p->in_w &&
                    p->in_c % 4 == 0;
  ft_cursor at = ft_cursor_at(p, first);
  int32_t i;
  if (whole) {
    ft_copy_unsigned(x + (ptrdiff_t)first * p->in_c, count * p->in_c, rows);
    return;
  }
  for (i = 0; i < count; ++i, rows += row_bytes) {
    const ft_window win = ft_cursor_window(p, &at);
    copy_window(p, &win, x, row_bytes, rows);
    ft_cursor_next(p, &at);
  }
}

void ft_conv2d_s8_avx512vnni(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const int32_t row_bytes = (kernel_size(p) + 3) / 4 * 4;
  const int32_t pixels = ft_num_pixels(p);
  uint8_t* rows = (uint8_t*)args->scratch;
  float* lora_b = (float*)(rows + FT_S8_BLOCK * row_bytes);
  const float* h = (const float*)args->in[3];
  int8_t* y = (int8_t*)args->out[0];
  ft_s8_gemm g;
  int32_t first;
  if (p->rank > 0)
    ft_s8_transpose_lora_b((const float*)args->in[4], p->out_c, p->rank,
                           lora_b);
  g.n = p->out_c;
  g.k4 = row_bytes / 4;
  g.x = rows;
  g.w = (const int8_t*)args->aux[3];
  g.rounds_once = 0;
  g.channels = (const ft_s8_channels*)args->aux[4];
  g.output = ft_s8_output_of(p->y_zero_point, p->q_low, p->q_high);
  g.rank = p->rank;
  g.lora_b = lora_b;
  g.inv_acc_scale = (const float*)args->aux[2];
  g.lora_scaling = p->lora_scaling;
  for (first = 0; first < pixels; first += FT_S8_BLOCK) {
    const int32_t left = pixels - first;
    g.rows = left < FT_S8_BLOCK ? left : FT_S8_BLOCK;
    copy_block(p, (const int8_t*)args->in[0], first, g.rows, row_bytes, rows);
    g.h = p->rank > 0 ? h + (ptrdiff_t)first * p->rank : NULL;
    g.y = y + (ptrdiff_t)first * p->out_c;
    ft_s8_run_gemm(&g);
  }
}
