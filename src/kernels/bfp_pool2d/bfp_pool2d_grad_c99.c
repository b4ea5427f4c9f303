#include "kernels/bfp/bfp.h"
#include "kernels/bfp_pool2d/bfp_pool2d.h"

/* Shares of an average are fractions of 2^AVERAGE_BITS. */
enum { AVERAGE_BITS = 30 };

typedef struct {
  const ft_pool2d_params* p;
  const int16_t* dy;
  const int8_t *x, *y; /* NULL: average */
} context;

typedef struct {
  int32_t image, iy, ix;
} pixel_at;

static pixel_at locate(const ft_pool2d_params* p, int32_t pixel) {
  const int32_t row = pixel / p->w;
  pixel_at at;
  at.ix = pixel - row * p->w;
  at.image = row / p->h;
  at.iy = row - at.image * p->h;
  return at;
}

/* First window along an axis that may hold pixel `at`. */
static int32_t first_window(int32_t at, int32_t pad, int32_t filter,
                            int32_t stride) {
  const int32_t low = at + pad - filter + 1;
  return low <= 0 ? 0 : (low + stride - 1) / stride;
}

static void add_average(const context* c, pixel_at at, int32_t oy, int32_t ox,
                        int64_t* acc) {
  const ft_pool2d_params* p = c->p;
  const ft_pool2d_window win = ft_pool2d_window_at(p, oy, ox);
  const int16_t* dy = c->dy + ((at.image * p->oh + oy) * p->ow + ox) * p->c;
  const int32_t count = (win.y1 - win.y0) * (win.x1 - win.x0);
  const int64_t share = ((1 << AVERAGE_BITS) + count / 2) / count;
  int32_t i;
  for (i = 0; i < p->c; ++i) acc[i] += dy[i] * share;
}

/* Whether `at` is the first pixel of the window that has the maximum. */
static int is_first(const context* c, const ft_pool2d_window* win, pixel_at at,
                    int32_t channel, int8_t maximum) {
  const ft_pool2d_params* p = c->p;
  const int8_t* image = c->x + at.image * p->h * p->w * p->c + channel;
  int32_t iy, ix;
  if (image[(at.iy * p->w + at.ix) * p->c] != maximum) return 0;
  for (iy = win->y0; iy <= at.iy; ++iy) {
    const int32_t end = iy == at.iy ? at.ix : win->x1;
    for (ix = win->x0; ix < end; ++ix)
      if (image[(iy * p->w + ix) * p->c] == maximum) return 0;
  }
  return 1;
}

static void add_maximum(const context* c, pixel_at at, int32_t oy, int32_t ox,
                        int64_t* acc) {
  const ft_pool2d_params* p = c->p;
  const ft_pool2d_window win = ft_pool2d_window_at(p, oy, ox);
  const int32_t from = ((at.image * p->oh + oy) * p->ow + ox) * p->c;
  int32_t i;
  for (i = 0; i < p->c; ++i)
    if (is_first(c, &win, at, i, c->y[from + i])) acc[i] += c->dy[from + i];
}

static void fill_row(const void* ctx, int32_t pixel, int64_t* acc) {
  const context* c = (const context*)ctx;
  const ft_pool2d_params* p = c->p;
  const pixel_at at = locate(p, pixel);
  const int32_t oy0 = first_window(at.iy, p->pad_top, p->filter_h, p->stride_h);
  const int32_t ox0 =
      first_window(at.ix, p->pad_left, p->filter_w, p->stride_w);
  int32_t oy, ox, i;
  for (i = 0; i < p->c; ++i) acc[i] = 0;
  for (oy = oy0; oy < p->oh && oy * p->stride_h <= at.iy + p->pad_top; ++oy) {
    for (ox = ox0; ox < p->ow && ox * p->stride_w <= at.ix + p->pad_left;
         ++ox) {
      if (c->x)
        add_maximum(c, at, oy, ox, acc);
      else
        add_average(c, at, oy, ox, acc);
    }
  }
}

static void run(const context* c, const ft_args* args, int32_t* predicted,
                int32_t exponent) {
  const ft_pool2d_params* p = c->p;
  ft_bfp_rows(fill_row, c, p->n * p->h * p->w, p->c, (int64_t*)args->scratch,
              predicted, (int64_t) * (const int32_t*)args->in[1] + exponent,
              args);
}

void ft_bfp_avg_pool2d_grad_c99(const void* params, const ft_args* args) {
  context c;
  c.p = (const ft_pool2d_params*)params;
  c.dy = (const int16_t*)args->in[0];
  c.x = c.y = NULL;
  run(&c, args, (int32_t*)args->in[2], -AVERAGE_BITS);
}

void ft_bfp_max_pool2d_grad_c99(const void* params, const ft_args* args) {
  context c;
  c.p = (const ft_pool2d_params*)params;
  c.dy = (const int16_t*)args->in[0];
  c.x = (const int8_t*)args->in[2];
  c.y = (const int8_t*)args->in[3];
  run(&c, args, (int32_t*)args->in[4], 0);
}
