/* See bfp/row.h. */
#include "kernels/bfp/bfp.h"
#include "kernels/bfp/row.h"
#include "kernels/bfp/window.h"
#include "kernels/bfp_conv2d/bfp_conv2d.h"

/* Pixels whose products are added at a time. */
enum { PIXELS = FT_WEIGHT_GRAD_PIXELS };

typedef struct {
  const ft_bfp_conv2d_params* p;
  const void* x;
  const int16_t* dy;
  int32_t lanes, cols; /* output channels, and sums of each, of a fill */
  int32_t* part;       /* [lanes, cols], of an int8 x and many pixels */
  int16_t* windows;    /* [PIXELS, cols], of an int8 x */
  int8_t* gathered;    /* the same of pixels at a border; rows of DSP only */
  int32_t is_dense;    /* a window's row is one run of x */
} context;

/* Pixels that wait until there are PIXELS of them. */
typedef struct {
  const int16_t* dy[PIXELS];
  const int8_t* x[PIXELS]; /* their windows; rows of DSP only */
  int32_t count, terms;    /* waiting; added since the last flush */
  int32_t* part;
  int64_t* acc; /* NULL: the sums fit `part` */
} batch;

/* What stands in for pixels behind the last. */
static const int16_t kNothing[FT_WEIGHT_GRAD_LANES] = {0};

/* x's first value under kernel row ky, whose image row begins at `line`, where
 * the row is one run of x; NULL where it is not. */
static const int8_t* dense_run(const context* c, const ft_cursor* at,
                               const int8_t* line) {
  const ft_conv_params* p = &c->p->conv;
  const int32_t ix = at->ox * p->stride_w - p->pad_left;
  const int inside = c->is_dense && ix >= 0 && ix + p->k_w <= p->in_w;
  return inside ? line + ix * p->in_c : NULL; /* nearly always a run */
}

#ifdef FT_BFP_ARMDSP
#include "kernels/bfp_conv2d/weight_grad_armdsp.h"
#else

/* part += g of PIXELS pixels, times their windows. */
static void add_pixels(const context* c, const batch* b) {
  const int32_t cols = c->cols;
  const int16_t* FT_RESTRICT x = c->windows;
  int32_t lane, i;
  for (lane = 0; lane < c->lanes; ++lane) {
    int32_t* FT_RESTRICT to = b->part + lane * cols;
    const int16_t g0 = b->dy[0][lane], g1 = b->dy[1][lane];
    const int16_t g2 = b->dy[2][lane], g3 = b->dy[3][lane];
    for (i = 0; i < cols; ++i)
      to[i] += g0 * x[i] + g1 * x[cols + i] + g2 * x[2 * cols + i] +
               g3 * x[3 * cols + i];
  }
}

/* Adds a pixel to those that wait: x of its window under kernel row ky. */
static void put_pixel(const context* c, const ft_cursor* at, const int8_t* line,
                      int32_t ky, int32_t group, batch* b) {
  const ft_conv_params* p = &c->p->conv;
  const int8_t* run = dense_run(c, at, line);
  int16_t* to = c->windows + b->count * c->cols;
  if (run) {
    ft_copy_run_s8(run, c->cols, (int16_t)p->x_zero_point, to);
  } else {
    const ft_window win = ft_cursor_window(p, at);
    ft_gather_row_s8(p, &win, (const int8_t*)c->x, group, ky, to);
  }
}

/* A pixel that adds nothing. */
static void put_nothing(const context* c, batch* b) {
  ft_zero_run(c->cols, c->windows + b->count * c->cols);
}
#endif

static void flush(const context* c, int64_t* acc) {
  const int32_t count = c->lanes * c->cols;
  int32_t i;
  for (i = 0; i < count; ++i) {
    acc[i] += c->part[i];
    c->part[i] = 0;
  }
}

static void add_batch(const context* c, batch* b) {
  add_pixels(c, b);
  b->count = 0;
  b->terms += PIXELS;
  if (!b->acc || b->terms < FT_S9S16_TERMS) return;
  flush(c, b->acc);
  b->terms = 0;
}

/* What the output row at `at` adds; dy: its first pixel, at the channels. */
static void add_row(const context* c, ft_cursor at, int32_t ky, int32_t group,
                    const int16_t* dy, batch* b) {
  const ft_conv_params* p = &c->p->conv;
  const int32_t iy = at.oy * p->stride_h + ky * p->dilation_h - p->pad_top;
  const int8_t* line = (const int8_t*)c->x;
  if (iy < 0 || iy >= p->in_h) return;
  line += (ptrdiff_t)(at.image * p->in_h + iy) * p->in_w * p->in_c;
  for (at.ox = 0; at.ox < p->out_w; ++at.ox, dy += p->out_c) {
    put_pixel(c, &at, line, ky, group, b);
    b->dy[b->count++] = dy;
    if (b->count == PIXELS) add_batch(c, b);
  }
}

/* Output channels from `co` on, kernel row ky. acc NULL: the sums fit `part`.
 */
static void fill_s8(const context* c, int32_t co, int32_t ky, int32_t* part,
                    int64_t* acc) {
  const ft_conv_params* p = &c->p->conv;
  const int32_t group = co / (p->out_c / p->groups);
  const int16_t* dy = c->dy + co;
  ft_cursor at = {0, 0, 0};
  batch b;
  int32_t i;
  b.count = b.terms = 0;
  b.part = part;
  b.acc = acc;
  for (i = 0; i < c->lanes * c->cols; ++i) part[i] = 0;
  for (at.image = 0; at.image < p->batch; ++at.image)
    for (at.oy = 0; at.oy < p->out_h; ++at.oy, dy += p->out_w * p->out_c)
      add_row(c, at, ky, group, dy, &b);
  if (b.count > 0) {
    while (b.count < PIXELS) {
      put_nothing(c, &b);
      b.dy[b.count++] = kNothing;
    }
    add_batch(c, &b);
  }
  if (acc) flush(c, acc);
}

static void add_run_s16(const int16_t* FT_RESTRICT x, int32_t count, int32_t g,
                        int64_t* FT_RESTRICT acc) {
  int32_t i;
  for (i = 0; i < count; ++i) acc[i] += g * x[i];
}

static void fill_s16(const context* c, int32_t co, int32_t ky, int64_t* acc) {
  const ft_conv_params* p = &c->p->conv;
  const int32_t run = p->in_c / p->groups;
  const int32_t pixels = ft_num_pixels(p);
  const int32_t first = co / (p->out_c / p->groups) * run;
  const int16_t* x = (const int16_t*)c->x + first;
  ft_cursor at = ft_cursor_at(p, 0);
  int32_t i, kx, lane;
  for (i = 0; i < pixels; ++i, ft_cursor_next(p, &at)) {
    const ft_window win = ft_cursor_window(p, &at);
    const int16_t* dy = c->dy + (ptrdiff_t)i * p->out_c + co;
    const int32_t step = ft_run_columns(p, &win);
    if (ky < win.ky_begin || ky >= win.ky_end) continue;
    for (kx = win.kx_begin; kx < win.kx_end; kx += step)
      for (lane = 0; lane < c->lanes; ++lane)
        add_run_s16(x + ft_x_index(p, &win, ky, kx), step * run, dy[lane],
                    acc + lane * c->cols + kx * run);
  }
}

/* Kernel row `at % k_h` of the output channels of block `at / k_h`. */
static void fill(const void* ctx, int32_t at, int64_t* acc) {
  const context* c = (const context*)ctx;
  const int32_t k_h = c->p->conv.k_h, block = at / k_h;
  int32_t i;
  for (i = 0; i < c->lanes * c->cols; ++i) acc[i] = 0;
  if (c->part)
    fill_s8(c, block * c->lanes, at - block * k_h, c->part, acc);
  else
    fill_s16(c, block * c->lanes, at - block * k_h, acc);
}

static void fill_s32(const void* ctx, int32_t at, int32_t* acc) {
  const context* c = (const context*)ctx;
  const int32_t k_h = c->p->conv.k_h, block = at / k_h;
  fill_s8(c, block * c->lanes, at - block * k_h, acc, NULL);
}

void FT_BFP_ROW(ft_bfp_conv2d_weight_grad)(const void* params,
                                           const ft_args* args) {
  const ft_bfp_conv2d_params* p = (const ft_bfp_conv2d_params*)params;
  const ft_conv_params* conv = &p->conv;
  const int32_t* x_exp = (const int32_t*)args->in[3];
  const int32_t* dy_exp = (const int32_t*)args->in[2];
  int32_t* predicted = (int32_t*)args->in[4];
  int16_t* dw = (int16_t*)args->out[0];
  ft_bfp_matrix m, narrow;
  const int64_t exponent =
      (int64_t)(x_exp ? *x_exp : 0) + *dy_exp + p->exponent;
  context c;
  c.p = p;
  c.x = args->in[0];
  c.dy = (const int16_t*)args->in[1];
  c.lanes = ft_weight_grad_lanes(conv);
  c.cols = conv->k_w * (conv->in_c / conv->groups);
  c.is_dense = conv->dilation_w == 1 && conv->groups == 1;
  m = ft_bfp_matrix_of(fill, &c, conv->out_c / c.lanes * conv->k_h, c.cols,
                       args->scratch, args);
  m.lanes = c.lanes;
  m.apart = conv->k_h;
  c.part = NULL;
  c.windows = (int16_t*)((int32_t*)args->scratch + c.lanes * c.cols);
  c.gathered = (int8_t*)(c.windows + PIXELS * (c.cols + c.cols % 2));
  if (p->is_s8 && ft_num_pixels(conv) <= FT_S9S16_TERMS) {
    narrow = m;
    narrow.fill_s32 = fill_s32;
    ft_bfp_run(&narrow, predicted, exponent, dw);
  } else {
    if (p->is_s8) {
      c.part = (int32_t*)((int64_t*)args->scratch + c.lanes * c.cols);
      c.windows = (int16_t*)(c.part + c.lanes * c.cols);
      c.gathered = (int8_t*)(c.windows + PIXELS * (c.cols + c.cols % 2));
    }
    ft_bfp_run(&m, predicted, exponent, dw);
  }
}
