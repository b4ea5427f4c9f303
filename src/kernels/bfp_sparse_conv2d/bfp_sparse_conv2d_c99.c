#include "kernels/bfp/bfp.h"
#include "kernels/bfp_sparse_conv2d/bfp_sparse_conv2d.h"

typedef struct {
  const ft_bfp_sparse_conv2d_params* p;
  const void* x;
  const int16_t *values, *dy;
  const int32_t* places;
} context;

static int32_t x_at(const context* c, int32_t i) {
  return c->p->is_s8 ? ((const int8_t*)c->x)[i] - c->p->sparse.conv.x_zero_point
                     : ((const int16_t*)c->x)[i];
}

/* Row (n, oy) of y: all its pixels. */
static void fill_forward(const void* ctx, int32_t row, int64_t* acc) {
  const context* c = (const context*)ctx;
  const ft_conv_params* p = &c->p->sparse.conv;
  const int32_t n = row / p->out_h, oy = row - n * p->out_h;
  int32_t i, ox;
  for (i = 0; i < p->out_w * p->out_c; ++i) acc[i] = 0;
  for (i = 0; i < c->p->sparse.entries; ++i) {
    const ft_sparse_entry e = ft_sparse_entry_at(p, c->places + 2 * i);
    int32_t from;
    if (oy < e.y_begin || oy >= e.y_end) continue;
    from = ft_sparse_x(p, &e, n, oy);
    for (ox = e.x_begin; ox < e.x_end; ++ox)
      acc[ox * p->out_c + e.row] +=
          c->values[i] * x_at(c, from + ft_sparse_column(p, &e, ox));
  }
}

/* Row i: entry i's sum over all pixels. */
static void fill_values_grad(const void* ctx, int32_t i, int64_t* acc) {
  const context* c = (const context*)ctx;
  const ft_conv_params* p = &c->p->sparse.conv;
  const ft_sparse_entry e = ft_sparse_entry_at(p, c->places + 2 * i);
  int32_t n, oy, ox;
  acc[0] = 0;
  for (n = 0; n < p->batch; ++n) {
    for (oy = e.y_begin; oy < e.y_end; ++oy) {
      const int32_t from = ft_sparse_x(p, &e, n, oy);
      const int16_t* dy = c->dy + ft_sparse_y(p, &e, n, oy);
      for (ox = e.x_begin; ox < e.x_end; ++ox)
        acc[0] += (int64_t)dy[ox * p->out_c] *
                  x_at(c, from + ft_sparse_column(p, &e, ox));
    }
  }
}

/* Row (n, iy) of dx: all its pixels. */
static void fill_input_grad(const void* ctx, int32_t row, int64_t* acc) {
  const context* c = (const context*)ctx;
  const ft_conv_params* p = &c->p->sparse.conv;
  const int32_t n = row / p->in_h, iy = row - n * p->in_h;
  int32_t i, ox;
  for (i = 0; i < p->in_w * p->in_c; ++i) acc[i] = 0;
  for (i = 0; i < c->p->sparse.entries; ++i) {
    const ft_sparse_entry e = ft_sparse_entry_at(p, c->places + 2 * i);
    const int32_t up = iy - e.y0, oy = up / p->stride_h;
    const int16_t* dy;
    if (oy * p->stride_h != up || oy < e.y_begin || oy >= e.y_end) continue;
    dy = c->dy + ft_sparse_y(p, &e, n, oy);
    for (ox = e.x_begin; ox < e.x_end; ++ox)
      acc[ft_sparse_column(p, &e, ox) + e.channel] +=
          (int32_t)c->values[i] * dy[ox * p->out_c];
  }
}

static int64_t sum_of_exponents(const ft_bfp_sparse_conv2d_params* p,
                                const void* a, const void* b) {
  const int32_t *a_exp = (const int32_t*)a, *b_exp = (const int32_t*)b;
  return (int64_t)*a_exp + (b_exp ? *b_exp : 0) + p->exponent;
}

void ft_bfp_sparse_conv2d_c99(const void* params, const ft_args* args) {
  const ft_bfp_sparse_conv2d_params* p =
      (const ft_bfp_sparse_conv2d_params*)params;
  const ft_conv_params* conv = &p->sparse.conv;
  context c;
  c.p = p;
  c.x = args->in[0];
  c.values = (const int16_t*)args->in[1];
  c.dy = NULL;
  c.places = (const int32_t*)args->in[3];
  ft_bfp_rows(fill_forward, &c, conv->batch * conv->out_h,
              conv->out_w * conv->out_c, (int64_t*)args->scratch, NULL,
              sum_of_exponents(p, args->in[2], args->in[4]), args);
}

void ft_bfp_sparse_conv2d_values_grad_c99(const void* params,
                                          const ft_args* args) {
  const ft_bfp_sparse_conv2d_params* p =
      (const ft_bfp_sparse_conv2d_params*)params;
  context c;
  c.p = p;
  c.x = args->in[0];
  c.values = NULL;
  c.dy = (const int16_t*)args->in[1];
  c.places = (const int32_t*)args->in[3];
  ft_bfp_rows(fill_values_grad, &c, p->sparse.entries, 1,
              (int64_t*)args->scratch, (int32_t*)args->in[5],
              sum_of_exponents(p, args->in[2], args->in[4]), args);
}

void ft_bfp_sparse_conv2d_input_grad_c99(const void* params,
                                         const ft_args* args) {
  const ft_bfp_sparse_conv2d_params* p =
      (const ft_bfp_sparse_conv2d_params*)params;
  const ft_conv_params* conv = &p->sparse.conv;
  context c;
  c.p = p;
  c.x = NULL;
  c.dy = (const int16_t*)args->in[0];
  c.values = (const int16_t*)args->in[2];
  c.places = (const int32_t*)args->in[4];
  ft_bfp_rows(fill_input_grad, &c, conv->batch * conv->in_h,
              conv->in_w * conv->in_c, (int64_t*)args->scratch,
              (int32_t*)args->in[5],
              sum_of_exponents(p, args->in[1], args->in[3]), args);
}
