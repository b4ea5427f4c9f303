/* Strips of the int8 convolutions of AVX-512: image rows, padded and as
 * unsigned bytes, whose windows quant/s8_gemm_avx512.h multiplies in place. A
 * kernel row is one run of bytes in the image, with dilation_w a run for each
 * kernel element. One group. */
#ifndef FT_KERNELS_CONV2D_STRIP_AVX512_H_
#define FT_KERNELS_CONV2D_STRIP_AVX512_H_

#include "kernels/conv2d/conv_params.h"
#include "kernels/quant/s8_side_avx512.h"

enum {
  FT_CONV_STRIP_BYTES = 12 << 10, /* a strip and its weights stay in L1 */
  FT_CONV_MAX_STRIP_BYTES = 1 << 22
};

/* Output rows that are computed from one copy of their image rows. */
typedef struct {
  int32_t out_rows, in_rows;
  int32_t width, row_bytes; /* of a padded image row */
} ft_conv_strip;

/* Image rows of a strip are `dilation_h` apart. */
static inline int32_t ft_strip_image_rows(const ft_conv_params* p,
                                          int32_t out_rows) {
  return (out_rows - 1) * p->stride_h + p->k_h;
}

static inline ft_conv_strip ft_strip_of(const ft_conv_params* p) {
  ft_conv_strip s;
  s.width = (p->out_w - 1) * p->stride_w + (p->k_w - 1) * p->dilation_w + 1;
  s.row_bytes = s.width * p->in_c;
  s.out_rows = 1;
  while (p->dilation_h == 1 && s.out_rows < p->out_h &&
         (int64_t)ft_strip_image_rows(p, s.out_rows + 1) * s.row_bytes <=
             FT_CONV_STRIP_BYTES)
    ++s.out_rows;
  s.in_rows = ft_strip_image_rows(p, s.out_rows);
  return s;
}

static inline int ft_has_row_runs(const ft_conv_params* p) {
  return p->dilation_w == 1 || p->k_w == 1;
}

static inline int32_t ft_strip_runs(const ft_conv_params* p) {
  return ft_has_row_runs(p) ? p->k_h : p->k_h * p->k_w;
}

static inline int32_t ft_strip_run_bytes(const ft_conv_params* p) {
  return ft_has_row_runs(p) ? p->k_w * p->in_c : p->in_c;
}

/* The last run may be read up to a group of 4 bytes. */
static inline size_t ft_strip_bytes(const ft_conv_strip* s) {
  return ((size_t)s->in_rows * (size_t)s->row_bytes + 3 + 63) / 64 * 64;
}

/* One group, and image rows that are not too long. */
static inline int ft_strip_fits(const ft_conv_params* p) {
  const int64_t width = (int64_t)(p->out_w - 1) * p->stride_w +
                        (int64_t)(p->k_w - 1) * p->dilation_w + 1;
  return p->groups == 1 && width <= FT_CONV_MAX_STRIP_BYTES &&
         width * p->in_c <= FT_CONV_MAX_STRIP_BYTES &&
         width * p->in_c * p->k_h <= FT_CONV_MAX_STRIP_BYTES;
}

/* No window reads row `r` of a strip: strides leave it out. */
static inline int ft_strip_skips(const ft_conv_params* p, int32_t r) {
  return p->dilation_h == 1 && r % p->stride_h >= p->k_h;
}

/* Padded image rows under output rows oy .. oy + out_rows; outside of the image
 * real 0. */
static inline void ft_copy_strip(const ft_conv_params* p,
                                 const ft_conv_strip* s, const int8_t* image,
                                 int32_t oy, int32_t out_rows, uint8_t* row) {
  const uint8_t zero = (uint8_t)(p->x_zero_point + 128);
  const int32_t left = p->pad_left < s->width ? p->pad_left : s->width;
  const int32_t room = s->width - left;
  const int32_t columns = p->in_w < room ? p->in_w : room;
  const int32_t begin = left * p->in_c, count = columns * p->in_c;
  const int32_t y0 = oy * p->stride_h - p->pad_top;
  int32_t r;
  for (r = 0; r < ft_strip_image_rows(p, out_rows); ++r, row += s->row_bytes) {
    const int32_t iy = y0 + r * p->dilation_h;
    if (ft_strip_skips(p, r)) continue;
    if (iy < 0 || iy >= p->in_h) {
      ft_fill_bytes(row, s->row_bytes, zero);
      continue;
    }
    ft_fill_bytes(row, begin, zero);
    ft_copy_unsigned(image + (ptrdiff_t)iy * p->in_w * p->in_c, count,
                     row + begin);
    ft_fill_bytes(row + begin + count, s->row_bytes - begin - count, zero);
  }
}

/* What the gemm of a strip knows of the layer's geometry. */
static inline void ft_strip_product(const ft_conv_params* p,
                                    const ft_conv_strip* s, ft_s8_gemm* g) {
  g->n = p->out_c;
  g->runs_y = p->k_h;
  g->runs_x = ft_has_row_runs(p) ? 1 : p->k_w;
  g->run4 = (ft_strip_run_bytes(p) + 3) / 4;
  g->step_y = s->row_bytes;
  g->step_x = ft_has_row_runs(p) ? 0 : p->dilation_w * p->in_c;
  g->output = ft_s8_output_of(p->y_zero_point, p->q_low, p->q_high);
}

/* Where the windows of g->rows pixels begin, from pixel `first` of a strip:
 * output row by output row, 16 pixels at a time. */
static inline void ft_find_windows(const ft_conv_params* p,
                                   const ft_conv_strip* s, int32_t first,
                                   ft_s8_gemm* g) {
  const int64_t step_x = (int64_t)p->stride_w * p->in_c;
  const int64_t step_y = (int64_t)p->stride_h * s->row_bytes;
  const __m512i steps = _mm512_mullo_epi32(
      _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
      _mm512_set1_epi32((int32_t)step_x));
  int64_t row = first / p->out_w * step_y;
  int32_t ox = first % p->out_w, i = 0, j;
  while (i < g->rows) {
    const int32_t left = g->rows - i, ahead = p->out_w - ox;
    const int32_t count = left < ahead ? left : ahead;
    for (j = 0; j < count; j += 16)
      _mm512_storeu_si512(
          g->at + i + j,
          _mm512_add_epi32(
              _mm512_set1_epi32((int32_t)(row + (ox + j) * step_x)), steps));
    i += count;
    row += step_y;
    ox = 0;
  }
  for (j = g->at[i - 1]; i < FT_S8_BLOCK; ++i) g->at[i] = j;
}

/* All strips of all images, copied to the scratch's beginning; `side` or NULL
 * computes what the adapter makes of their windows. */
static inline void ft_run_strips(const ft_conv_params* p,
                                 const ft_conv_strip* s, const ft_args* args,
                                 ft_s8_gemm* g, const ft_s8_side* side) {
  const int8_t* image = (const int8_t*)args->in[0];
  uint8_t* copy = (uint8_t*)args->scratch;
  int32_t n, oy, first;
  g->x = copy;
  g->y = (int8_t*)args->out[0];
  for (n = 0; n < p->batch; ++n) {
    for (oy = 0; oy < p->out_h; oy += s->out_rows) {
      const int32_t left = p->out_h - oy;
      const int32_t out_rows = left < s->out_rows ? left : s->out_rows;
      const int32_t pixels = out_rows * p->out_w;
      ft_copy_strip(p, s, image, oy, out_rows, copy);
      for (first = 0; first < pixels; first += FT_S8_BLOCK) {
        g->rows = pixels - first < FT_S8_BLOCK ? pixels - first : FT_S8_BLOCK;
        ft_find_windows(p, s, first, g);
        if (side) ft_s8_side_rows(g, side);
        ft_s8_run_gemm(g);
        g->y += (ptrdiff_t)g->rows * p->out_c;
        if (g->rank > 0) g->h += (ptrdiff_t)g->rows * g->rank;
      }
    }
    image += (ptrdiff_t)p->in_h * p->in_w * p->in_c;
  }
}

#endif /* FT_KERNELS_CONV2D_STRIP_AVX512_H_ */
