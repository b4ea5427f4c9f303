/* Pixels of the weight gradient for Armv7E-M and Armv8-M with DSP, which takes
 * the place of those in bfp_conv2d_weight_grad-inl.h: windows are read where
 * they lie in x, four of them are interleaved, and SMLAD adds two pixels. At a
 * border a window is gathered first. */
#ifndef FT_KERNELS_BFP_CONV2D_WEIGHT_GRAD_ARMDSP_H_
#define FT_KERNELS_BFP_CONV2D_WEIGHT_GRAD_ARMDSP_H_

/* x of a window under kernel row ky, its zero point outside of the image. */
static const int8_t* gather(const context* c, const ft_cursor* at,
                            int32_t group, int32_t ky, int8_t* to) {
  const ft_conv_params* p = &c->p->conv;
  const ft_window win = ft_cursor_window(p, at);
  const int32_t run = p->in_c / p->groups;
  const int32_t step = ft_run_columns(p, &win);
  int32_t kx;
  memset(to, p->x_zero_point, (size_t)c->cols);
  for (kx = win.kx_begin; kx < win.kx_end; kx += step)
    memcpy(to + kx * run,
           (const int8_t*)c->x + ft_x_index(p, &win, ky, kx) + group * run,
           (size_t)(step * run));
  return to;
}

static void put_pixel(const context* c, const ft_cursor* at, const int8_t* line,
                      int32_t ky, int32_t group, batch* b) {
  const int8_t* run = dense_run(c, at, line);
  b->x[b->count] =
      run ? run : gather(c, at, group, ky, c->gathered + b->count * c->cols);
}

/* Any window: its factors are 0. */
static void put_nothing(const context* c, batch* b) {
  (void)c;
  b->x[b->count] = b->x[0];
}

static void add_pixels(const context* c, const batch* b) {
  const int32_t even = c->lanes % 2 == 0 ? c->cols & ~1 : 0;
  int32_t lane, at, dy[FT_WEIGHT_GRAD_LANES * 2];
  ft_dsp_interleave(b->x, c->cols, (int16_t)c->p->conv.x_zero_point,
                    c->windows);
  for (lane = 0; lane < c->lanes; ++lane) {
    dy[2 * lane] = ft_dsp_pair(b->dy[0][lane], b->dy[1][lane]);
    dy[2 * lane + 1] = ft_dsp_pair(b->dy[2][lane], b->dy[3][lane]);
  }
  for (lane = 0; lane < c->lanes; ++lane) {
    at = lane * c->cols;
    if (even > 0 && lane % 2 == 0)
      ft_dsp_add_4x2(c->windows, even, dy + 2 * lane, b->part + at,
                     b->part + at + c->cols);
    ft_dsp_add_4x1(c->windows, even, c->cols, dy + 2 * lane, b->part + at);
  }
}

#endif /* FT_KERNELS_BFP_CONV2D_WEIGHT_GRAD_ARMDSP_H_ */
