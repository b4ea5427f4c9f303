/* The int8 layer with a side for Helium: four output pixels at a time against
 * the rows of A first, then against one output channel after the other
 * (quant/s8_helium.h), whose sums get B h before the only requantization. One
 * pixel alone, as fully connected layers have it, against four rows at a time.
 *
 * aux: weights [out_c, window padded to 16], ft_device_channels of a layer to
 * which up to 2^23 are added. scratch: what each row of A begins with, h of
 * four pixels as words [rank][4], and the windows of four pixels, padded with
 * 0, unless they are whole runs of the image. */
#include "kernels/conv2d/helium_pixels.h"
#include "kernels/side_conv2d/device_side.h"

typedef struct {
  const ft_conv_params* p;
  const ft_device_channels* channels;
  const void* w;
  const int16_t* b;
  const int32_t* h; /* [rank][4] */
} plain_layer;

/* A row of A begins with minus the zero point times its sum. */
static void start_rows(const ft_side_layer* l, int32_t k16, int32_t* start) {
  const int8_t* a = l->a;
  int32_t i, j;
  for (i = 0; i < l->p->rank; ++i) {
    int32_t sum = 0;
    for (j = 0; j < k16; j += 16, a += 16) sum = vaddvaq_s8(sum, vld1q_s8(a));
    start[i] = -l->p->x_zero_point * sum;
  }
}

/* Rounded like the C99 row, and saturated to int16. */
static inline int32x4_t scaled(int32x4_t sums, int32x4_t factor) {
  const int32x4_t h = vrmulhq_s32(sums, factor);
  return vmovlbq_s16(vqmovnbq_s32(vdupq_n_s16(0), h));
}

static void h_of_four(const ft_side_layer* l, int32_t groups,
                      const int8_t* const* x, const int32_t* start,
                      int32_t* h) {
  const int8_t* a = l->a;
  int32_t i;
  for (i = 0; i < l->p->rank; ++i, a += 16 * groups)
    vst1q_s32(h + 4 * i,
              scaled(vaddq_n_s32(ft_mve_dot_4x1(a, x, groups), start[i]),
                     vdupq_n_s32(l->a_factor[i])));
}

static void any_pixels(const ft_side_layer* l, int32_t groups,
                       const int8_t* const* x, const int32_t* h, int32_t count,
                       int8_t* y) {
  const int32_t out_c = l->p->out_c, rank = l->p->rank;
  const int8_t* w = (const int8_t*)l->w;
  int32_t c, i, j;
  for (c = 0; c < out_c; ++c, w += 16 * groups) {
    int32_t sums[FT_MVE_PIXELS];
    vst1q_s32(sums, ft_mve_dot_4x1(w, x, groups));
    for (i = 0; i < count; ++i) {
      const int16_t* b = l->b + c * rank;
      int32_t side = 0;
      for (j = 0; j < rank; ++j) side = ft_add_wrap(side, b[j] * h[4 * j + i]);
      y[i * out_c + c] = ft_side_finish(l, c, side, sums[i]);
    }
  }
}

/* Adds B h of one channel to the sums of four pixels. */
static inline int32x4_t add_side_4(int32x4_t sums, const int32_t* h,
                                   const int16_t** b) {
  const int16_t* k = *b;
  int32x4_t side = vmulq_n_s32(vld1q_s32(h), k[0]);
  side = vmlaq_n_s32(side, vld1q_s32(h + 4), k[1]);
  side = vmlaq_n_s32(side, vld1q_s32(h + 8), k[2]);
  side = vmlaq_n_s32(side, vld1q_s32(h + 12), k[3]);
  *b = k + 4;
  return vqdmlahq_n_s32(sums, side, 1 << (31 - FT_SIDE_BITS));
}

#define LOAD_SIDE          \
  const int16_t* b = l->b; \
  const int32_t* h = l->h
#define LOAD_SIDE_AND_ROWS \
  LOAD_SIDE;               \
  FT_MVE_LOAD_ROWS
#define LOAD_SIDE_AND_POINTERS \
  LOAD_SIDE;                   \
  FT_MVE_LOAD_POINTERS

FT_MVE_DEFINE_PIXELS(pixels_1, plain_layer, LOAD_SIDE_AND_ROWS,
                     FT_MVE_UNROLLED_CHANNELS,
                     add_side_4(ft_mve_dot_1(&w, x0, x1, x2, x3), h, &b))
FT_MVE_DEFINE_PIXELS(pixels_2, plain_layer, LOAD_SIDE_AND_POINTERS,
                     FT_MVE_UNROLLED_CHANNELS,
                     add_side_4(ft_mve_dot_2(&w, x0, x1, x2, x3), h, &b))
FT_MVE_DEFINE_PIXELS(pixels_4, plain_layer, LOAD_SIDE_AND_POINTERS,
                     FT_MVE_UNROLLED_CHANNELS,
                     add_side_4(ft_mve_dot_4(&w, x0, x1, x2, x3), h, &b))
FT_MVE_DEFINE_PIXELS(pixels_8, plain_layer, LOAD_SIDE_AND_POINTERS,
                     FT_MVE_LOOPED_CHANNELS,
                     add_side_4(ft_mve_dot_8(&w, x0, x1, x2, x3), h, &b))
FT_MVE_DEFINE_PIXELS(pixels_any, plain_layer, LOAD_SIDE, FT_MVE_LOOPED_CHANNELS,
                     add_side_4(ft_mve_dot_any(&w, x, groups), h, &b))

static void plain_pixels(const ft_side_layer* side, int32_t groups,
                         const int8_t* const* x, const int32_t* h, int8_t* y) {
  const plain_layer l = {side->p, side->channels, side->w, side->b, h};
  switch (groups) {
    case 1: pixels_1(&l, groups, x, y); break;
    case 2: pixels_2(&l, groups, x, y); break;
    case 4: pixels_4(&l, groups, x, y); break;
    case 8: pixels_8(&l, groups, x, y); break;
    default: pixels_any(&l, groups, x, y);
  }
}

/* Four rows from `row` on of `rows`, the last one repeated. */
static int32x4_t dot_rows(const int8_t* w, int32_t row, int32_t rows,
                          int32_t groups, const int8_t* x) {
  const int8_t* from[4];
  int32_t i;
  for (i = 0; i < 4; ++i)
    from[i] = w + (row + i < rows ? row + i : rows - 1) * 16 * groups;
  return ft_mve_dot_4x1(x, from, groups);
}

static void one_pixel(const ft_side_layer* l, int32_t groups, const int8_t* x,
                      const int32_t* start, int32_t* h, int8_t* y) {
  const int32_t out_c = l->p->out_c, rank = l->p->rank;
  int32_t c, i, j;
  for (c = 0; c < rank; c += 4) {
    int32_t sums[4];
    vst1q_s32(sums, dot_rows(l->a, c, rank, groups, x));
    for (i = 0; i < 4 && c + i < rank; ++i)
      h[c + i] = vgetq_lane_s32(scaled(vdupq_n_s32(sums[i] + start[c + i]),
                                       vdupq_n_s32(l->a_factor[c + i])),
                                0);
  }
  for (c = 0; c < out_c; c += 4) {
    int32_t sums[4];
    vst1q_s32(sums, dot_rows((const int8_t*)l->w, c, out_c, groups, x));
    for (i = 0; i < 4 && c + i < out_c; ++i) {
      const int16_t* b = l->b + (c + i) * rank;
      int32_t side = 0;
      for (j = 0; j < rank; ++j) side = ft_add_wrap(side, b[j] * h[j]);
      y[c + i] = ft_side_finish(l, c + i, side, sums[i]);
    }
  }
}

void ft_side_conv2d_s8_helium(const void* params, const ft_args* args) {
  const ft_side_layer l = ft_side_layer_of(params, args);
  const ft_conv_params* p = l.p;
  const int8_t* x = (const int8_t*)args->in[0];
  int8_t* y = (int8_t*)args->out[0];
  const int32_t pixels = ft_num_pixels(p), k = p->k_h * p->k_w * p->in_c;
  const int32_t k16 = ft_side_row(p);
  int32_t *h = (int32_t*)args->scratch, *start = h + 4 * p->rank;
  int8_t* bytes = (int8_t*)(start + (p->rank + 3) / 4 * 4);
  const int8_t* rows[FT_MVE_PIXELS];
  const int is_plain = ft_side_is_plain(&l) && p->out_c % 4 == 0;
  ft_cursor at = ft_cursor_at(p, 0);
  int32_t pixel, i;
  start_rows(&l, k16, start);
  if (k != k16) memset(bytes, 0, (size_t)(FT_MVE_PIXELS * k16));
  for (pixel = 0; pixel < pixels; pixel += FT_MVE_PIXELS) {
    const int32_t left = pixels - pixel;
    const int32_t count = left < FT_MVE_PIXELS ? left : FT_MVE_PIXELS;
    for (i = 0; i < FT_MVE_PIXELS; ++i) {
      rows[i] =
          i < count ? ft_mve_window(p, x, &at, k16, bytes + i * k16) : rows[0];
      if (i < count) ft_cursor_next(p, &at);
    }
    if (count == 1) {
      one_pixel(&l, k16 / 16, rows[0], start, h, y);
      return;
    }
    h_of_four(&l, k16 / 16, rows, start, h);
    if (is_plain && count == FT_MVE_PIXELS)
      plain_pixels(&l, k16 / 16, rows, h, y);
    else
      any_pixels(&l, k16 / 16, rows, h, count, y);
    y += FT_MVE_PIXELS * p->out_c;
  }
}
