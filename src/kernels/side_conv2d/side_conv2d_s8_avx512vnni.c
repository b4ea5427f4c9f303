/* int8 convolution or fully connected layer with a side in integers: A's
 * products with the windows where they lie, then W's, to whose sums those with
 * B are added in registers. */
#include "kernels/conv2d/strip_avx512.h"
#include "kernels/side_conv2d/side_conv2d.h"

/* Images of one pixel, a fully connected layer's rows, are one image. */
static ft_conv_params strips_of(const ft_conv_params* given) {
  ft_conv_params p = *given;
  if (p.in_h != 1 || p.in_w != 1 || p.k_h != 1 || p.k_w != 1 || p.out_h != 1 ||
      p.out_w != 1)
    return p;
  p.in_h = p.out_h = p.batch;
  p.stride_h = p.batch = 1;
  return p;
}

int ft_side_conv2d_s8_avx512vnni_available(void) { return ft_has_avx512vnni(); }

int ft_side_conv2d_s8_avx512vnni_accepts(const ft_side_conv2d_params* side) {
  return ft_strip_fits(&side->conv);
}

size_t ft_side_conv2d_s8_avx512vnni_packed_bytes(
    const ft_side_conv2d_params* side) {
  const ft_conv_params* p = &side->conv;
  return ft_s8_packed_bytes(p->out_c, ft_strip_runs(p), ft_strip_run_bytes(p));
}

size_t ft_side_conv2d_s8_avx512vnni_channels_bytes(
    const ft_side_conv2d_params* side) {
  return (size_t)(ft_s8_padded(side->conv.out_c) / FT_S8_PANEL) *
         sizeof(ft_s8_channels);
}

/* Of the grouped row: a block's rows of x, what sides add to them, h. */
static size_t grouped_bytes(const ft_conv_params* p) {
  const size_t rows = (size_t)(p->batch < FT_S8_BLOCK ? p->batch : FT_S8_BLOCK);
  const size_t x = (size_t)(p->in_c + 63) / 64 * 64;
  return rows * (x + (size_t)ft_s8_padded(p->out_c) * sizeof(int32_t)) +
         (size_t)p->rank * sizeof(int16_t);
}

size_t ft_side_conv2d_s8_avx512vnni_scratch_bytes(
    const ft_side_conv2d_params* side) {
  const ft_conv_params p = strips_of(&side->conv);
  const ft_conv_strip s = ft_strip_of(&p);
  const size_t bytes =
      ft_strip_bytes(&s) + ft_s8_side_bytes(p.rank, p.out_c, ft_strip_runs(&p),
                                            ft_strip_run_bytes(&p));
  const size_t grouped = grouped_bytes(&side->conv);
  return side->round_once && grouped > bytes ? grouped : bytes;
}

void ft_side_conv2d_s8_avx512vnni_pack(const ft_side_conv2d_params* side,
                                       const int8_t* w, const int32_t* bias,
                                       const int32_t* multiplier,
                                       const int32_t* shift, void* packed,
                                       void* channels) {
  const ft_conv_params* p = &side->conv;
  const ft_s8_result result = {p->y_zero_point, p->q_low, p->q_high,
                               side->round_once, 1 << (31 - FT_SIDE_BITS)};
  ft_s8_pack_weights(w, p->out_c, ft_strip_runs(p), ft_strip_run_bytes(p), bias,
                     p->x_zero_point, multiplier, shift, &result,
                     (int8_t*)packed, (ft_s8_channels*)channels);
}

/* The adapter's values in scratch behind the strip. */
static void set_side(const ft_conv_params* p, const ft_conv_strip* strip,
                     const ft_args* args, ft_s8_side* s, ft_s8_gemm* g) {
  const int32_t runs = ft_strip_runs(p), run = ft_strip_run_bytes(p);
  const int32_t lanes = ft_s8_side_lanes(p->rank);
  const int32_t whole = (lanes + 15) / 16 * 16;
  int8_t* to = (int8_t*)args->scratch + ft_strip_bytes(strip);
  const int is_one = p->out_h == 1 && p->out_w == 1 && p->batch == 1;
  int32_t* b;
  s->rank = p->rank;
  s->lanes = lanes;
  s->a = (const int8_t*)args->in[3];
  s->row = ft_side_row(p);
  s->window = runs * run;
  s->unsigned_zero = p->x_zero_point + 128;
  s->packed = to;
  to += (ptrdiff_t)lanes * (ptrdiff_t)ft_s8_side_packed(lanes, runs, run);
  s->start = (int32_t*)to;
  s->factor = s->start + whole;
  b = s->factor + whole;
  s->h = (int16_t*)(b + ft_s8_padded(p->out_c) * (p->rank / 2));
  memset(s->factor, 0, (size_t)whole * sizeof(int32_t));
  memcpy(s->factor, args->in[4], (size_t)p->rank * sizeof(int32_t));
  if (!is_one || runs > 1) ft_s8_pack_side_a(s, runs, run);
  ft_s8_pack_side_b((const int16_t*)args->in[5], p->out_c, p->rank / 2, b);
  g->pairs = p->rank / 2;
  g->h_row = lanes;
  g->side_h = s->h;
  g->side_b = b;
}

void ft_side_conv2d_s8_avx512vnni(const void* params, const ft_args* args) {
  const ft_side_conv2d_params* layer = (const ft_side_conv2d_params*)params;
  const ft_conv_params p = strips_of(&layer->conv);
  const ft_conv_strip strip = ft_strip_of(&p);
  ft_s8_side side;
  ft_s8_gemm g;
  ft_strip_product(&p, &strip, &g);
  g.w = (const int8_t*)args->aux[2];
  g.channels = (const ft_s8_channels*)args->aux[3];
  g.rounds_once = layer->round_once;
  g.rank = 0;
  g.added = NULL;
  g.gain = NULL;
  set_side(&p, &strip, args, &side, &g);
  ft_run_strips(&p, &strip, args, &g, &side);
}

/* h and what B makes of it, of each row of a block, with its own adapter. */
static void add_own_sides(const ft_conv_params* p, const ft_args* args,
                          int32_t first, const ft_s8_gemm* g, int32_t* added,
                          int16_t* h) {
  const void* const* a = (const void* const*)args->in[3];
  const void* const* factor = (const void* const*)args->in[4];
  const void* const* b = (const void* const*)args->in[5];
  ft_s8_side s;
  int32_t i, c;
  s.rank = p->rank;
  s.row = ft_side_row(p);
  s.window = p->in_c;
  s.unsigned_zero = p->x_zero_point + 128;
  for (i = 0; i < g->rows; ++i, added += ft_s8_padded(p->out_c)) {
    const int16_t* own = (const int16_t*)b[first + i];
    s.a = (const int8_t*)a[first + i];
    s.factor = (int32_t*)factor[first + i];
    ft_s8_side_of_one(g->x + g->at[i], &s, h);
    for (c = 0; c < p->out_c; c += FT_S8_PANEL)
      _mm512_storeu_si512(
          added + c, ft_s8_own_pairs(own + (ptrdiff_t)c * p->rank, p->out_c - c,
                                     p->rank / 2, h));
  }
}

void ft_side_conv2d_grouped_s8_avx512vnni(const void* params,
                                          const ft_args* args) {
  const ft_side_conv2d_params* layer = (const ft_side_conv2d_params*)params;
  const ft_conv_params* p = &layer->conv;
  const int32_t rows = p->batch < FT_S8_BLOCK ? p->batch : FT_S8_BLOCK;
  const int32_t row_bytes = (p->in_c + 63) / 64 * 64;
  uint8_t* x = (uint8_t*)args->scratch;
  int32_t* added = (int32_t*)(x + (ptrdiff_t)rows * row_bytes);
  int16_t* h = (int16_t*)(added + (ptrdiff_t)rows * ft_s8_padded(p->out_c));
  ft_s8_gemm g;
  int32_t first, i;
  memset(&g, 0, sizeof(g));
  g.n = p->out_c;
  g.runs_y = g.runs_x = 1;
  g.run4 = (p->in_c + 3) / 4;
  g.x = x;
  g.w = (const int8_t*)args->aux[2];
  g.channels = (const ft_s8_channels*)args->aux[3];
  g.rounds_once = layer->round_once;
  g.output = ft_s8_output_of(p->y_zero_point, p->q_low, p->q_high);
  g.added = added;
  /* A tile reads whole: rows that are not there are the first one again. */
  for (i = 0; i < FT_S8_BLOCK; ++i) g.at[i] = i < rows ? i * row_bytes : 0;
  for (first = 0; first < p->batch; first += FT_S8_BLOCK) {
    const int32_t left = p->batch - first;
    g.rows = left < FT_S8_BLOCK ? left : FT_S8_BLOCK;
    for (i = 0; i < g.rows; ++i)
      ft_copy_unsigned(
          (const int8_t*)args->in[0] + (ptrdiff_t)(first + i) * p->in_c,
          p->in_c, x + (ptrdiff_t)i * row_bytes);
    add_own_sides(p, args, first, &g, added, h);
    g.y = (int8_t*)args->out[0] + (ptrdiff_t)first * p->out_c;
    ft_s8_run_gemm(&g);
  }
}
