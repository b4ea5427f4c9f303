/* Four channels at a time, one output each, of an int8 x; rows of up to 256
 * pixels. */
#include "kernels/bfp/armdsp.h"
#include "kernels/bfp/bfp.h"
#include "kernels/bfp_depthwise_conv2d/bfp_depthwise_conv2d.h"

/* Products of 16 and 9 bits whose sum fits 32. */
enum { TERMS = 256, CHANNELS = 4 };

typedef struct {
  const ft_conv_params* p;
  const int8_t* x;
  const int16_t* dy;
} context;

/* What a kernel element meets of each output row: columns ox_begin to ox_end,
 * whose image begins at ix. */
typedef struct {
  int32_t ky, ox_begin, ox_end, ix;
} element;

static element element_of(const ft_conv_params* p, int32_t tap) {
  const int32_t ky = tap / p->k_w;
  const int32_t from = (tap - ky * p->k_w) * p->dilation_w - p->pad_left;
  const int32_t room = p->in_w - 1 - from;
  element e;
  e.ky = ky;
  e.ox_begin = from >= 0 ? 0 : (p->stride_w - 1 - from) / p->stride_w;
  e.ox_end = room < 0 ? 0 : room / p->stride_w + 1;
  if (e.ox_end > p->out_w) e.ox_end = p->out_w;
  if (e.ox_begin > e.ox_end) e.ox_begin = e.ox_end;
  e.ix = e.ox_begin * p->stride_w + from;
  return e;
}

static void flush(int32_t* part, int64_t* acc) {
  int32_t i;
  for (i = 0; i < CHANNELS; ++i) {
    acc[i] += part[i];
    part[i] = 0;
  }
}

static void add_row(const int8_t* x, int32_t x_step, int32_t minus,
                    const int16_t* dy, int32_t dy_step, int32_t count,
                    int32_t* part) {
  int32_t s0 = part[0], s1 = part[1], s2 = part[2], s3 = part[3];
  for (; count > 0; --count, x += x_step, dy += dy_step)
    ft_dsp_add_4_s16(x, minus, dy, &s0, &s1, &s2, &s3);
  part[0] = s0;
  part[1] = s1;
  part[2] = s2;
  part[3] = s3;
}

/* acc [CHANNELS] = sums of channels `c` on. */
static void sum_channels(const context* all, const element* e, int32_t c,
                         int64_t* acc) {
  const ft_conv_params* p = all->p;
  const int32_t count = e->ox_end - e->ox_begin, rows = p->batch * p->out_h;
  const int32_t minus = ft_dsp_minus(p->x_zero_point);
  int32_t part[CHANNELS] = {0, 0, 0, 0}, terms = 0, row, image = 0, oy = 0;
  acc[0] = acc[1] = acc[2] = acc[3] = 0;
  for (row = 0; row < rows; ++row, ++oy) {
    int32_t iy;
    if (oy == p->out_h) oy = 0, ++image;
    iy = oy * p->stride_h + e->ky * p->dilation_h - p->pad_top;
    if (iy < 0 || iy >= p->in_h) continue;
    if ((terms += count) > TERMS) {
      flush(part, acc);
      terms = count;
    }
    add_row(all->x + ((image * p->in_h + iy) * p->in_w + e->ix) * p->in_c + c,
            p->stride_w * p->in_c, minus,
            all->dy + (row * p->out_w + e->ox_begin) * p->out_c + c, p->out_c,
            count, part);
  }
  flush(part, acc);
}

/* Row (ky, kx). */
static void fill(const void* ctx, int32_t tap, int64_t* acc) {
  const context* all = (const context*)ctx;
  const element e = element_of(all->p, tap);
  int32_t c;
  for (c = 0; c < all->p->out_c; c += CHANNELS)
    sum_channels(all, &e, c, acc + c);
}

void ft_bfp_depthwise_conv2d_weight_grad_armdsp(const void* params,
                                                const ft_args* args) {
  const ft_bfp_conv2d_params* p = (const ft_bfp_conv2d_params*)params;
  const ft_conv_params* conv = &p->conv;
  context c;
  c.p = conv;
  c.x = (const int8_t*)args->in[0];
  c.dy = (const int16_t*)args->in[1];
  ft_bfp_rows(fill, &c, conv->k_h * conv->k_w, conv->out_c,
              (int64_t*)args->scratch, (int32_t*)args->in[4],
              (int64_t) * (const int32_t*)args->in[2] + p->exponent, args);
}
