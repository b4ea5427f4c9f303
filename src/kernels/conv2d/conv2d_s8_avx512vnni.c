/* int8 convolution of one group: image rows, padded and as unsigned bytes, in
 * place times packed weights. A kernel row is one run of bytes in the image,
 * with dilation_w a run for each kernel element. */
#include "kernels/conv2d/conv2d.h"
#include "kernels/quant/s8_gemm_avx512.h"

enum {
  FT_CONV_STRIP_BYTES = 12 << 10, /* a strip and its weights stay in L1 */
  FT_CONV_MAX_STRIP_BYTES = 1 << 22
};

/* Output rows that are computed from one copy of their image rows. */
typedef struct {
  int32_t out_rows, in_rows;
  int32_t width, row_bytes; /* of a padded image row */
} conv_strip;

/* Image rows of a strip are `dilation_h` apart. */
static int32_t image_rows(const ft_conv_params* p, int32_t out_rows) {
  return (out_rows - 1) * p->stride_h + p->k_h;
}

static conv_strip strip_of(const ft_conv_params* p) {
  conv_strip s;
  s.width = (p->out_w - 1) * p->stride_w + (p->k_w - 1) * p->dilation_w + 1;
  s.row_bytes = s.width * p->in_c;
  s.out_rows = 1;
  while (p->dilation_h == 1 && s.out_rows < p->out_h &&
         (int64_t)image_rows(p, s.out_rows + 1) * s.row_bytes <=
             FT_CONV_STRIP_BYTES)
    ++s.out_rows;
  s.in_rows = image_rows(p, s.out_rows);
  return s;
}

static int is_dense(const ft_conv_params* p) {
  return p->dilation_w == 1 || p->k_w == 1;
}

static int32_t num_runs(const ft_conv_params* p) {
  return is_dense(p) ? p->k_h : p->k_h * p->k_w;
}

static int32_t run_bytes(const ft_conv_params* p) {
  return is_dense(p) ? p->k_w * p->in_c : p->in_c;
}

/* The last run may be read up to a group of 4 bytes. */
static size_t strip_bytes(const conv_strip* s) {
  return ((size_t)s->in_rows * (size_t)s->row_bytes + 3 + 63) / 64 * 64;
}

int ft_conv2d_s8_avx512vnni_available(void) { return ft_has_avx512vnni(); }

int ft_conv2d_s8_avx512vnni_accepts(const ft_conv_params* p) {
  const int64_t width = (int64_t)(p->out_w - 1) * p->stride_w +
                        (int64_t)(p->k_w - 1) * p->dilation_w + 1;
  return p->groups == 1 && width <= FT_CONV_MAX_STRIP_BYTES &&
         width * p->in_c <= FT_CONV_MAX_STRIP_BYTES &&
         width * p->in_c * p->k_h <= FT_CONV_MAX_STRIP_BYTES;
}

int32_t ft_conv2d_s8_avx512vnni_strip_rows(const ft_conv_params* p) {
  return strip_of(p).out_rows;
}

size_t ft_conv2d_s8_avx512vnni_packed_bytes(const ft_conv_params* p) {
  return ft_s8_packed_bytes(p->out_c, num_runs(p), run_bytes(p));
}

size_t ft_conv2d_s8_avx512vnni_channels_bytes(const ft_conv_params* p) {
  return (size_t)(ft_s8_padded(p->out_c) / FT_S8_PANEL) *
         sizeof(ft_s8_channels);
}

size_t ft_conv2d_s8_avx512vnni_scratch_bytes(const ft_conv_params* p) {
  const conv_strip s = strip_of(p);
  return strip_bytes(&s) +
         sizeof(float) * (size_t)ft_s8_padded(p->out_c) * (size_t)p->rank;
}

void ft_conv2d_s8_avx512vnni_pack(const ft_conv_params* p, const int8_t* w,
                                  const int32_t* bias,
                                  const int32_t* multiplier,
                                  const int32_t* shift, void* packed,
                                  void* channels) {
  const ft_s8_result result = {p->y_zero_point, p->q_low, p->q_high, 0};
  ft_s8_pack_weights(w, p->out_c, num_runs(p), run_bytes(p), bias,
                     p->x_zero_point, multiplier, shift, &result,
                     (int8_t*)packed, (ft_s8_channels*)channels);
}

/* No window reads row `r` of a strip: strides leave it out. */
static int is_skipped(const ft_conv_params* p, int32_t r) {
  return p->dilation_h == 1 && r % p->stride_h >= p->k_h;
}

/* Padded image rows under output rows oy .. oy + out_rows; outside of the image
 * real 0. */
static void copy_strip(const ft_conv_params* p, const conv_strip* s,
                       const int8_t* image, int32_t oy, int32_t out_rows,
                       uint8_t* row) {
  const uint8_t zero = (uint8_t)(p->x_zero_point + 128);
  const int32_t left = p->pad_left < s->width ? p->pad_left : s->width;
  const int32_t room = s->width - left;
  const int32_t columns = p->in_w < room ? p->in_w : room;
  const int32_t begin = left * p->in_c, count = columns * p->in_c;
  const int32_t y0 = oy * p->stride_h - p->pad_top;
  int32_t r;
  for (r = 0; r < image_rows(p, out_rows); ++r, row += s->row_bytes) {
    const int32_t iy = y0 + r * p->dilation_h;
    if (is_skipped(p, r)) continue;
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

static void set_product(const ft_conv_params* p, const ft_args* args,
                        const conv_strip* s, ft_s8_gemm* g) {
  float* lora_b = (float*)((uint8_t*)args->scratch + strip_bytes(s));
  if (p->rank > 0)
    ft_s8_transpose_lora_b((const float*)args->in[4], p->out_c, p->rank,
                           lora_b);
  g->n = p->out_c;
  g->runs_y = p->k_h;
  g->runs_x = is_dense(p) ? 1 : p->k_w;
  g->run4 = (run_bytes(p) + 3) / 4;
  g->step_y = s->row_bytes;
  g->step_x = is_dense(p) ? 0 : p->dilation_w * p->in_c;
  g->x = (const uint8_t*)args->scratch;
  g->w = (const int8_t*)args->aux[3];
  g->rounds_once = 0;
  g->channels = (const ft_s8_channels*)args->aux[4];
  g->output = ft_s8_output_of(p->y_zero_point, p->q_low, p->q_high);
  g->rank = p->rank;
  g->lora_b = lora_b;
  g->inv_acc_scale = (const float*)args->aux[2];
  g->lora_scaling = p->lora_scaling;
  g->gain = (const float*)args->in[5];
  g->bias_outside = p->gain_bias ? NULL : (const int32_t*)args->in[2];
}

/* Where the windows of g->rows pixels begin, from pixel `first` of a strip:
 * output row by output row, 16 pixels at a time. */
static void find_windows(const ft_conv_params* p, const conv_strip* s,
                         int32_t first, ft_s8_gemm* g) {
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

void ft_conv2d_s8_avx512vnni(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const conv_strip s = strip_of(p);
  const int8_t* image = (const int8_t*)args->in[0];
  ft_s8_gemm g;
  int32_t n, oy, first;
  set_product(p, args, &s, &g);
  g.y = (int8_t*)args->out[0];
  g.h = p->rank > 0 ? (const float*)args->in[3] : NULL;
  for (n = 0; n < p->batch; ++n) {
    for (oy = 0; oy < p->out_h; oy += s.out_rows) {
      const int32_t left = p->out_h - oy;
      const int32_t out_rows = left < s.out_rows ? left : s.out_rows;
      const int32_t pixels = out_rows * p->out_w;
      copy_strip(p, &s, image, oy, out_rows, (uint8_t*)args->scratch);
      for (first = 0; first < pixels; first += FT_S8_BLOCK) {
        g.rows = pixels - first < FT_S8_BLOCK ? pixels - first : FT_S8_BLOCK;
        find_windows(p, &s, first, &g);
        ft_s8_run_gemm(&g);
        g.y += (ptrdiff_t)g.rows * p->out_c;
        if (g.h) g.h += (ptrdiff_t)g.rows * p->rank;
      }
    }
    image += (ptrdiff_t)p->in_h * p->in_w * p->in_c;
  }
}
