/* The int8 layer with a side for Armv7E-M: one pass over x. The window of two
 * output pixels is widened once; the rows of A are multiplied with it first,
 * then the packed pairs of output channels (quant/s8_armdsp.h), to whose sums
 * B h is added by SMLAD before the only requantization.
 *
 * aux: packed weights, ft_device_channels of a layer to which up to 2^23 are
 * added. scratch: the windows of two pixels, widened; what each row of A begins
 * with; h of two pixels; one window as bytes where it is not a run of whole
 * words of the image. */
#include "kernels/conv2d/dsp_window.h"
#include "kernels/side_conv2d/device_side.h"

/* What lies in scratch, and sizes. */
typedef struct {
  ft_side_layer l;
  int32_t* wide;
  int32_t* start; /* of each row of A */
  int32_t* h;     /* pairs of halfwords; those of two pixels alternate */
  int32_t k4, row;
} side_layer;

static inline int32_t two_products(int32_t pair, int32_t with, int32_t sum) {
  int32_t v;
  __asm("smlad %0, %1, %2, %3" : "=r"(v) : "r"(pair), "r"(with), "r"(sum));
  return v;
}

/* A row of A begins with minus the zero point times its sum. */
static void start_rows(const side_layer* s) {
  const int8_t* a = s->l.a;
  int32_t i, j;
  for (i = 0; i < s->l.p->rank; ++i) {
    int32_t sum = 0;
    for (j = 0; j < s->row; j += 4, a += 4) {
      const int32_t v = ft_dsp_load(a);
      sum = two_products(ft_dsp_even(v), 0x10001, sum);
      sum = two_products(ft_dsp_odd(v), 0x10001, sum);
    }
    s->start[i] = -s->l.p->x_zero_point * sum;
  }
}

static inline int32_t scaled(int32_t sum, int32_t factor) {
  int32_t v;
  __asm("smmulr %0, %1, %2" : "=r"(v) : "r"(sum), "r"(factor));
  __asm("ssat %0, #16, %1" : "=r"(v) : "r"(v));
  return v;
}

/* h of rows i and i + 1. */
static inline int32_t scaled_pair(const side_layer* s, int32_t i, int32_t sum,
                                  int32_t next) {
  const int32_t low = scaled(sum, s->l.a_factor[i]);
  const int32_t high = scaled(next, s->l.a_factor[i + 1]);
  int32_t pair;
  __asm("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(low), "r"(high));
  return pair;
}

#define FT_ROWS_STEP                    \
  "ldrd %[x0], %[x1], [%[x]], #8\n\t"   \
  "ldr %[w0], [%[a]], #4\n\t"           \
  "ldr %[w1], [%[c]], #4\n\t"           \
  "sxtb16 %[t], %[w0]\n\t"              \
  "smlad %[s0], %[t], %[x0], %[s0]\n\t" \
  "smlad %[s1], %[t], %[x1], %[s1]\n\t" \
  "sxtb16 %[t], %[w1]\n\t"              \
  "smlad %[u0], %[t], %[x0], %[u0]\n\t" \
  "smlad %[u1], %[t], %[x1], %[u1]\n\t" \
  "ldrd %[x0], %[x1], [%[x]], #8\n\t"   \
  "sxtb16 %[t], %[w0], ror #8\n\t"      \
  "smlad %[s0], %[t], %[x0], %[s0]\n\t" \
  "smlad %[s1], %[t], %[x1], %[s1]\n\t" \
  "sxtb16 %[t], %[w1], ror #8\n\t"      \
  "smlad %[u0], %[t], %[x0], %[u0]\n\t" \
  "smlad %[u1], %[t], %[x1], %[u1]\n\t"

/* h of two pixels, whose pairs alternate at `wide`, two rows at a time. */
static void h_of_two(const side_layer* s) {
  const int32_t rank = s->l.p->rank;
  int32_t i;
  for (i = 0; i < rank; i += 2) {
    const int8_t *a = s->l.a + i * s->row, *c = a + s->row;
    const int8_t *end4 = a + s->k4 / 16 * 16, *end = a + s->k4;
    const int32_t* x = s->wide;
    int32_t s0 = s->start[i], s1 = s0, u0 = s->start[i + 1], u1 = u0;
    int32_t x0, x1, w0, w1, t;
    while (a != end4)
      __asm volatile(
          FT_ROWS_STEP FT_ROWS_STEP FT_ROWS_STEP FT_ROWS_STEP
          : [x] "+r"(x), [a] "+r"(a), [c] "+r"(c), [s0] "+r"(s0), [s1] "+r"(s1),
            [u0] "+r"(u0), [u1] "+r"(u1), [x0] "=&r"(x0), [x1] "=&r"(x1),
            [w0] "=&r"(w0), [w1] "=&r"(w1), [t] "=&r"(t)
          :
          : "memory");
    while (a != end)
      __asm volatile(
          FT_ROWS_STEP
          : [x] "+r"(x), [a] "+r"(a), [c] "+r"(c), [s0] "+r"(s0), [s1] "+r"(s1),
            [u0] "+r"(u0), [u1] "+r"(u1), [x0] "=&r"(x0), [x1] "=&r"(x1),
            [w0] "=&r"(w0), [w1] "=&r"(w1), [t] "=&r"(t)
          :
          : "memory");
    s->h[i] = scaled_pair(s, i, s0, u0);
    s->h[i + 1] = scaled_pair(s, i, s1, u1);
  }
}

/* The sum of one pixel with row i of A. */
static int32_t sum_of_one(const side_layer* s, int32_t i) {
  const int8_t* a = s->l.a + i * s->row;
  int32_t sum = s->start[i], j;
  for (j = 0; j < s->k4; j += 4) {
    const int32_t v = ft_dsp_load(a + j);
    sum = two_products(ft_dsp_even(v), s->wide[j / 2], sum);
    sum = two_products(ft_dsp_odd(v), s->wide[j / 2 + 1], sum);
  }
  return sum;
}

/* From h on, whose pairs are `step` apart. */
static int8_t finish(const side_layer* s, int32_t c, const int32_t* h,
                     int32_t step, int32_t sum) {
  const int16_t* b = s->l.b + c * s->l.p->rank;
  const int16_t* end = b + s->l.p->rank;
  int32_t side = 0;
  for (; b != end; b += 2, h += step)
    side = two_products(ft_dsp_load((const int8_t*)b), *h, side);
  return ft_side_finish(&s->l, c, side, sum);
}

static void any_pixels(const side_layer* s, int8_t* y) {
  const int32_t out_c = s->l.p->out_c;
  const int32_t* w = (const int32_t*)s->l.w;
  int32_t c, i;
  for (c = 0; c < out_c; c += 2) {
    ft_dsp_sums sum[2] = {{0, 0}, {0, 0}};
    w = ft_dsp_dot_all_2x2(w, s->wide, s->k4, &sum[0], &sum[1]);
    for (i = 0; i < 2; ++i) {
      const int32_t* h = s->h + i;
      y[i * out_c + c] = finish(s, c, h, 2, sum[i].s0);
      if (c + 1 < out_c)
        y[i * out_c + c + 1] = finish(s, c + 1, h, 2, sum[i].s1);
    }
  }
}

/* Adds B h of two channels of rank 4 to the sums of two pixels. */
#define FT_ADD_SIDE(first, second)     \
  "ldrd %[b0], %[b1], [%[b]], #8\n\t"  \
  "smuad %[t], %[b0], %[h0]\n\t"       \
  "smlad %[t], %[b1], %[h1], %[t]\n\t" \
  "add %[" first "], %[" first         \
  "], %[t], asr #8\n\t"                \
  "smuad %[t], %[b0], %[h2]\n\t"       \
  "smlad %[t], %[b1], %[h3], %[t]\n\t" \
  "add %[" second "], %[" second "], %[t], asr #8\n\t"

static inline const int16_t* add_side_4(const int16_t* b, const int32_t* h,
                                        ft_dsp_sums* p0, ft_dsp_sums* p1) {
  int32_t h0, h1, h2, h3, b0, b1, t;
  __asm volatile(
      "ldrd %[h0], %[h2], [%[h]]\n\t"
      "ldrd %[h1], %[h3], [%[h], #8]\n\t" FT_ADD_SIDE("s0", "u0")
          FT_ADD_SIDE("s1", "u1")
      : [b] "+r"(b), [s0] "+r"(p0->s0), [s1] "+r"(p0->s1), [u0] "+r"(p1->s0),
        [u1] "+r"(p1->s1), [h0] "=&r"(h0), [h1] "=&r"(h1), [h2] "=&r"(h2),
        [h3] "=&r"(h3), [b0] "=&r"(b0), [b1] "=&r"(b1), [t] "=&r"(t)
      : [h] "r"(h)
      : "memory");
  return b;
}

/* Products of one pair of h for two channels (t, u) and two pixels. */
#define FT_SIDE_PAIR(b, c)            \
  "ldrd %[h0], %[h1], [%[h]], #8\n\t" \
  "smlad %[t0], %[" b                 \
  "], %[h0], %[t0]\n\t"               \
  "smlad %[t1], %[" b                 \
  "], %[h1], %[t1]\n\t"               \
  "smlad %[u0], %[" c                 \
  "], %[h0], %[u0]\n\t"               \
  "smlad %[u1], %[" c "], %[h1], %[u1]\n\t"
#define FT_SIDE_OPERANDS                                               \
  [b] "+r"(b), [c] "+r"(c), [h] "+r"(h), [t0] "+r"(t0), [t1] "+r"(t1), \
      [u0] "+r"(u0), [u1] "+r"(u1), [b0] "=&r"(b0), [b1] "=&r"(b1),    \
      [c0] "=&r"(c0), [c1] "=&r"(c1), [h0] "=&r"(h0), [h1] "=&r"(h1)

/* B h of the two channels from b on, of any rank, in units of the accumulator:
 * where the sums of two pixels begin. Returns the next channel's. */
static inline const int16_t* side_of_2x2(const side_layer* s, const int16_t* b,
                                         ft_dsp_sums* p0, ft_dsp_sums* p1) {
  const int32_t rank = s->l.p->rank;
  const int16_t *c = b + rank, *end = b + rank / 4 * 4;
  const int32_t* h = s->h;
  int32_t t0 = 0, t1 = 0, u0 = 0, u1 = 0, b0, b1, c0, c1, h0, h1;
  while (b != end)
    __asm volatile(
        "ldrd %[b0], %[b1], [%[b]], #8\n\t"
        "ldrd %[c0], %[c1], [%[c]], #8\n\t" FT_SIDE_PAIR("b0", "c0")
            FT_SIDE_PAIR("b1", "c1")
        : FT_SIDE_OPERANDS
        :
        : "memory");
  if (rank % 4)
    __asm volatile(
        "ldr %[b0], [%[b]], #4\n\t"
        "ldr %[c0], [%[c]], #4\n\t" FT_SIDE_PAIR("b0", "c0")
        : FT_SIDE_OPERANDS
        :
        : "memory");
  p0->s0 = t0 >> FT_SIDE_BITS;
  p1->s0 = t1 >> FT_SIDE_BITS;
  p0->s1 = u0 >> FT_SIDE_BITS;
  p1->s1 = u1 >> FT_SIDE_BITS;
  return c;
}

/* A plain layer with an even number of channels; `rank`: 4, or 0 for any. */
FT_DSP_COPIED void plain_pixels(const side_layer* s, int is_byte, int32_t rank,
                                int8_t* y) {
  const int32_t low = s->l.p->q_low, high = s->l.p->q_high, k4 = s->k4;
  const int8_t* end = y + s->l.p->out_c;
  int8_t* z = y + s->l.p->out_c;
  const ft_device_channel* c = ft_channel_list(s->l.channels);
  const int32_t* w = (const int32_t*)s->l.w;
  const int16_t* b = s->l.b;
  for (; y != end; c += 2, y += 2, z += 2) {
    ft_dsp_sums s0 = {0, 0}, s1 = {0, 0};
    const int32_t* x = s->wide;
    int32_t left = k4;
    if (rank == 0) b = side_of_2x2(s, b, &s0, &s1);
    for (; left > FT_DSP_CHUNK; left -= FT_DSP_CHUNK, x += FT_DSP_CHUNK)
      w = ft_dsp_dot_2x2(w, x, FT_DSP_CHUNK / 4, &s0, &s1);
    w = ft_dsp_dot_2x2(w, x, left / 4, &s0, &s1);
    if (rank == 4) b = add_side_4(b, s->h, &s0, &s1);
    y[0] = ft_dsp_requantize(s0.s0, c, is_byte, low, high);
    z[0] = ft_dsp_requantize(s1.s0, c, is_byte, low, high);
    y[1] = ft_dsp_requantize(s0.s1, c + 1, is_byte, low, high);
    z[1] = ft_dsp_requantize(s1.s1, c + 1, is_byte, low, high);
  }
}

/* Apart, so that the loops of rank 4 keep their registers. */
static __attribute__((noinline)) void any_rank(const side_layer* s, int is_byte,
                                               int8_t* y) {
  if (is_byte)
    plain_pixels(s, 1, 0, y);
  else
    plain_pixels(s, 0, 0, y);
}

static void two_pixels(const side_layer* s, int8_t* y) {
  const ft_conv_params* p = s->l.p;
  const int is_byte = p->q_low == -128 && p->q_high == 127;
  h_of_two(s);
  if (!ft_side_is_plain(&s->l) || p->out_c % 2)
    any_pixels(s, y);
  else if (p->rank != 4)
    any_rank(s, is_byte, y);
  else if (is_byte)
    plain_pixels(s, 1, 4, y);
  else
    plain_pixels(s, 0, 4, y);
}

/* Two pairs of channels at a time; the last two may be alone, and are summed
 * twice then. */
static void one_pixel(const side_layer* s, int8_t* y) {
  const int32_t out_c = s->l.p->out_c, k4 = s->k4;
  const int32_t* w = (const int32_t*)s->l.w;
  int32_t c, first, i;
  for (i = 0; i < s->l.p->rank; i += 2)
    s->h[i / 2] = scaled_pair(s, i, sum_of_one(s, i), sum_of_one(s, i + 1));
  for (c = 0; c < out_c; c += 4, w += k4) {
    const int32_t* v = c + 2 < out_c ? w + k4 / 2 : w;
    ft_dsp_sums sum[2] = {{0, 0}, {0, 0}};
    for (first = 0; first < k4; first += FT_DSP_CHUNK) {
      const int32_t left = k4 - first;
      const int32_t count = left < FT_DSP_CHUNK ? left : FT_DSP_CHUNK;
      ft_dsp_dot_1x4(w + first / 2, v + first / 2, s->wide + first / 2,
                     count / 4, &sum[0], &sum[1]);
    }
    for (i = 0; i < 4 && c + i < out_c; ++i)
      y[c + i] =
          finish(s, c + i, s->h, 1, i % 2 ? sum[i / 2].s1 : sum[i / 2].s0);
  }
}

void ft_side_conv2d_s8_armdsp(const void* params, const ft_args* args) {
  const ft_side_layer l = ft_side_layer_of(params, args);
  const ft_conv_params* p = l.p;
  const int8_t* x = (const int8_t*)args->in[0];
  int8_t* y = (int8_t*)args->out[0];
  const int32_t pixels = ft_num_pixels(p), k = p->k_h * p->k_w * p->in_c;
  const int32_t k4 = (k + 3) / 4 * 4;
  int32_t *wide = (int32_t*)args->scratch, *start = wide + k4;
  int32_t* h = start + p->rank;
  int8_t* bytes = (int8_t*)(h + p->rank);
  const side_layer s = {l, wide, start, h, k4, ft_side_row(p)};
  ft_cursor at = ft_cursor_at(p, 0);
  int32_t pixel;
  start_rows(&s);
  if (k % 4) memset(bytes + k / 4 * 4, 0, 4); /* weights are 0 there */
  for (pixel = 0; pixel + 1 < pixels; pixel += 2, y += 2 * p->out_c) {
    ft_dsp_window(p, x, &at, k, bytes, wide);
    ft_cursor_next(p, &at);
    ft_dsp_window(p, x, &at, k, bytes, wide + 1);
    ft_cursor_next(p, &at);
    two_pixels(&s, y);
  }
  if (pixel == pixels) return;
  ft_dsp_window_every(p, x, &at, k, bytes, wide, 1);
  one_pixel(&s, y);
}
