/* The int8 layer with a side for Helium: four output pixels at a time against
 * the rows of A first, then against one output channel after the other
 * (quant/s8_helium.h), whose sums get B h before the only requantization. One
 * pixel alone, as fully connected layers have it, against four rows at a time.
 *
 * aux: weights [out_c, window padded to 16], ft_device_channels of a layer to
 * which up to 2^23 are added. scratch: ft_side_helium_scratch(). */
#include "kernels/conv2d/helium_pixels.h"
#include "kernels/side_conv2d/device_side.h"
#include "kernels/side_conv2d/helium_scratch.h"

/* What lies in scratch. `h`: of four pixels, a vector for each row of A and 0
 * up to rank 4. Above rank 4 `h8` has them again, [blocks of 8][pixel][8]. `b`:
 * of each channel four words, or halfwords in whole blocks. */
typedef struct {
  ft_side_layer l;
  int32_t groups, blocks;
  int32_t *h, *start;
  int16_t* h8;
  const void* b;
  int8_t* bytes;
} side_layer;

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

/* Behind h. */
static const void* copy_of_b(const side_layer* s) {
  const ft_conv_params* p = s->l.p;
  int8_t* const copy = s->bytes - ft_side_bytes_of_b(p);
  const mve_pred16_t live = vctp32q((uint32_t)p->rank);
  const int16_t* b = s->l.b;
  int32_t c, left;
  int8_t* to = copy;
  for (c = 0; c < p->out_c; ++c) {
    if (s->blocks == 0) {
      vst1q_s32((int32_t*)(void*)to, vldrhq_z_s32(b, live));
      b += p->rank;
      to += 16;
    }
    for (left = s->blocks ? p->rank : 0; left > 0; left -= 8, to += 16) {
      vst1q_s16((int16_t*)(void*)to, vldrhq_z_s16(b, vctp16q((uint32_t)left)));
      b += left < 8 ? left : 8;
    }
  }
  return copy;
}

static side_layer side_layer_of(const void* params, const ft_args* args) {
  const ft_side_layer l = ft_side_layer_of(params, args);
  int8_t* scratch = (int8_t*)args->scratch;
  side_layer s;
  s.l = l;
  s.groups = ft_side_row(l.p) / 16;
  s.blocks = ft_side_blocks(l.p->rank);
  s.h = (int32_t*)args->scratch;
  s.start = s.h + 4 * (s.blocks ? l.p->rank : 4);
  s.h8 = (int16_t*)(s.start + (l.p->rank + 3) / 4 * 4);
  s.b = l.b;
  s.bytes = scratch + ft_side_bytes_of_h(l.p) + ft_side_bytes_of_b(l.p);
  memset(scratch, 0, (size_t)ft_side_bytes_of_h(l.p));
  start_rows(&l, 16 * s.groups, s.start);
  if (ft_side_copies_b(l.p)) s.b = copy_of_b(&s);
  return s;
}

/* Rounded like the C99 row, and saturated to int16. */
static inline int32x4_t scaled(int32x4_t sums, int32x4_t factor) {
  const int32x4_t h = vrmulhq_s32(sums, factor);
  return vmovlbq_s16(vqmovnbq_s32(vdupq_n_s16(0), h));
}

/* Of four pixels, from their sums with row i of A. */
static inline void set_h(const side_layer* s, int32_t i, int32x4_t sums) {
  vst1q_s32(s->h + 4 * i, scaled(vaddq_n_s32(sums, s->start[i]),
                                 vdupq_n_s32(s->l.a_factor[i])));
}

static void fill_h8(const side_layer* s) {
  const uint32x4_t to = vmulq_n_u32(vidupq_n_u32(0, 1), 16);
  int32_t i;
  for (i = 0; i < s->l.p->rank; ++i)
    vstrhq_scatter_offset_s32(s->h8 + i / 8 * 32 + i % 8, to,
                              vld1q_s32(s->h + 4 * i));
}

static void any_pixels(const side_layer* s, const int8_t* const* x,
                       int32_t count, int8_t* y) {
  const int32_t out_c = s->l.p->out_c, rank = s->l.p->rank;
  const int8_t* w = s->l.a;
  int32_t c, i, j;
  for (i = 0; i < rank; ++i, w += 16 * s->groups)
    set_h(s, i, ft_mve_dot_4x1(w, x, s->groups));
  w = (const int8_t*)s->l.w;
  for (c = 0; c < out_c; ++c, w += 16 * s->groups) {
    int32_t sums[FT_MVE_PIXELS];
    vst1q_s32(sums, ft_mve_dot_4x1(w, x, s->groups));
    for (i = 0; i < count; ++i) {
      const int16_t* b = s->l.b + c * rank;
      int32_t side = 0;
      for (j = 0; j < rank; ++j)
        side = ft_add_wrap(side, b[j] * s->h[4 * j + i]);
      y[i * out_c + c] = ft_side_finish(&s->l, c, side, sums[i]);
    }
  }
}

/* Adds B h of one channel to the sums of four pixels and requantizes them, as
 * FT_MVE_REQUANTIZE does. */
#define FT_SIDE_WORDS(half, sums, to)                               \
  do {                                                              \
    int32x4_t v_;                                                   \
    __asm volatile(                                                 \
        "ldmia %[b]!, {r0, r2, r4, r6}\n\t"                         \
        "vmul.i32 %q[v], %q[h0], r0\n\t"                            \
        "vmla.s32 %q[v], %q[h1], r2\n\t"                            \
        "vmla.s32 %q[v], %q[h2], r4\n\t"                            \
        "vmla.s32 %q[v], %q[h3], r6\n\t"                            \
        "vqdmlah.s32 %q[s], %q[v], %[scale]\n\t"                    \
        "ldmia %[p]!, {r0, r2, r4, r6}\n\t"                         \
        "vadd.i32 %q[s], %q[s], r0\n\t"                             \
        "vshr.s32 %q[v], %q[s], #31\n\t"                            \
        "vqrdmlah.s32 %q[v], %q[s], r2\n\t"                         \
        "rsb r6, r6, #0\n\t"                                        \
        "vadd.i32 %q[v], %q[v], r4\n\t"                             \
        "vshl.s32 %q[v], r6\n\t"                                    \
        "vqmovn" half ".s32 %q[to_], %q[v]\n\t"                     \
        : [p] "+r"(c), [b] "+r"(b), [s] "+w"(sums), [to_] "+w"(to), \
          [v] "=&w"(v_)                                             \
        : [h0] "w"(h0), [h1] "w"(h1), [h2] "w"(h2), [h3] "w"(h3),   \
          [scale] "r"(1 << (31 - FT_SIDE_BITS))                     \
        : "r0", "r2", "r4", "r6", "memory");                        \
  } while (0)

#define FT_SIDE_BLOCK(mla)              \
  "vldrh.16 %q[k], [%[b]], #16\n\t"     \
  "vldrh.16 %q[v], [%[h]], #16\n\t" mla \
  ".s16 %[s0], %q[k], %q[v]\n\t"        \
  "vldrh.16 %q[v], [%[h]], #16\n\t" mla \
  ".s16 %[s1], %q[k], %q[v]\n\t"        \
  "vldrh.16 %q[v], [%[h]], #16\n\t" mla \
  ".s16 %[s2], %q[k], %q[v]\n\t"        \
  "vldrh.16 %q[v], [%[h]], #16\n\t" mla ".s16 %[s3], %q[k], %q[v]\n\t"

/* The same of higher ranks: only adds. */
static inline int32x4_t add_blocks(int32x4_t sums, const side_layer* l,
                                   const int16_t** b) {
  const int16_t* h = l->h8;
  int32_t s0, s1, s2, s3;
  int32x4_t k, v;
  __asm volatile(FT_SIDE_BLOCK("vmladav")
      "wls lr, %[more], 2f\n"
      "1:\n\t" FT_SIDE_BLOCK("vmladava")
      "le lr, 1b\n"
      "2:\n\t"
      "vmov %q[v][2], %q[v][0], %[s0], %[s2]\n\t"
      "vmov %q[v][3], %q[v][1], %[s1], %[s3]\n\t"
      "vqdmlah.s32 %q[sums], %q[v], %[scale]\n\t"
      : [b] "+r"(*b), [h] "+r"(h), [sums] "+w"(sums), [s0] "=&Te"(s0),
        [s1] "=&Te"(s1), [s2] "=&Te"(s2), [s3] "=&Te"(s3), [k] "=&w"(k),
        [v] "=&w"(v)
      : [more] "r"(l->blocks - 1), [scale] "r"(1 << (31 - FT_SIDE_BITS))
      : "lr", "memory");
  return sums;
}

#define FT_SIDE_BLOCKS(half, sums, to)    \
  do {                                    \
    sums = add_blocks(sums, s, &b);       \
    FT_MVE_REQUANTIZE(half, sums, c, to); \
  } while (0)

#define FT_SIDE_HAS_WORDS                                         \
  const int32_t* b = (const int32_t*)s->b;                        \
  const int32x4_t h0 = vld1q_s32(s->h), h1 = vld1q_s32(s->h + 4); \
  const int32x4_t h2 = vld1q_s32(s->h + 8), h3 = vld1q_s32(s->h + 12)
#define FT_SIDE_HAS_BLOCKS                 \
  const int16_t* b = (const int16_t*)s->b; \
  fill_h8(s)

/* Four pixels of a plain layer, whose output channels are a multiple of 4;
 * `dot` gives the four sums of the row at w, `add` requantizes them. What is
 * narrowed stays where it is: nothing is copied or cleared. */
#define FT_SIDE_PIXELS(name, dot, has_b, add)                                \
  static void name(const side_layer* s, const int8_t* const* x, int8_t* y) { \
    const ft_conv_params* p = s->l.p;                                        \
    const int clamps = p->q_low > -128 || p->q_high < 127;                   \
    const ft_device_channel* c = ft_channel_list(s->l.channels);             \
    const int8_t *end = y + p->out_c, *w = s->l.a;                           \
    const int8_t *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];             \
    int16x8_t even = vdupq_n_s16(0), odd = even;                             \
    int32_t i;                                                               \
    for (i = 0; i < p->rank; ++i) set_h(s, i, dot);                          \
    w = (const int8_t*)s->l.w;                                               \
    {                                                                        \
      has_b;                                                                 \
      const uint32x4_t to =                                                  \
          vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)p->out_c);               \
      for (; y != end; y += 4) {                                             \
        int32x4_t sums = dot;                                                \
        int8x16_t v;                                                         \
        add("b", sums, even);                                                \
        sums = dot;                                                          \
        add("b", sums, odd);                                                 \
        sums = dot;                                                          \
        add("t", sums, even);                                                \
        sums = dot;                                                          \
        add("t", sums, odd);                                                 \
        v = vqmovnbq_s16(vreinterpretq_s8_s16(even), even);                  \
        v = vqmovntq_s16(v, odd);                                            \
        if (clamps) {                                                        \
          v = vmaxq_s8(v, vdupq_n_s8((int8_t)p->q_low));                     \
          v = vminq_s8(v, vdupq_n_s8((int8_t)p->q_high));                    \
        }                                                                    \
        vstrwq_scatter_offset_s32((int32_t*)(void*)y, to,                    \
                                  vreinterpretq_s32_s8(v));                  \
        even = vreinterpretq_s16_s8(v);                                      \
      }                                                                      \
    }                                                                        \
    (void)x0, (void)x1, (void)x2, (void)x3;                                  \
  }

FT_SIDE_PIXELS(words_1, ft_mve_dot_one(&w, x0, x1, x2, x3), FT_SIDE_HAS_WORDS,
               FT_SIDE_WORDS)
FT_SIDE_PIXELS(words_2, ft_mve_dot_2(&w, x0, x1, x2, x3), FT_SIDE_HAS_WORDS,
               FT_SIDE_WORDS)
FT_SIDE_PIXELS(words_4, ft_mve_dot_4(&w, x0, x1, x2, x3), FT_SIDE_HAS_WORDS,
               FT_SIDE_WORDS)
FT_SIDE_PIXELS(words_8, ft_mve_dot_8(&w, x0, x1, x2, x3), FT_SIDE_HAS_WORDS,
               FT_SIDE_WORDS)
FT_SIDE_PIXELS(words_any, ft_mve_dot_any(&w, x, s->groups), FT_SIDE_HAS_WORDS,
               FT_SIDE_WORDS)
FT_SIDE_PIXELS(blocks_4, ft_mve_dot_4(&w, x0, x1, x2, x3), FT_SIDE_HAS_BLOCKS,
               FT_SIDE_BLOCKS)
FT_SIDE_PIXELS(blocks_any, ft_mve_dot_any(&w, x, s->groups), FT_SIDE_HAS_BLOCKS,
               FT_SIDE_BLOCKS)

static void plain_pixels(const side_layer* s, const int8_t* const* x,
                         int8_t* y) {
  switch (s->blocks ? 16 + s->groups : s->groups) {
    case 1: words_1(s, x, y); break;
    case 2: words_2(s, x, y); break;
    case 4: words_4(s, x, y); break;
    case 8: words_8(s, x, y); break;
    case 16 + 4: blocks_4(s, x, y); break;
    default: (s->blocks ? blocks_any : words_any)(s, x, y);
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

static void one_pixel(const side_layer* s, const int8_t* x, int8_t* y) {
  const ft_side_layer* l = &s->l;
  const int32_t out_c = l->p->out_c, rank = l->p->rank, groups = s->groups;
  int32_t* h = s->h;
  int32_t c, i, j;
  for (c = 0; c < rank; c += 4) {
    int32_t sums[4];
    vst1q_s32(sums, dot_rows(l->a, c, rank, groups, x));
    for (i = 0; i < 4 && c + i < rank; ++i)
      h[c + i] = vgetq_lane_s32(scaled(vdupq_n_s32(sums[i] + s->start[c + i]),
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

/* Four pixels from `pixel` on, or fewer at the end. */
static void some_pixels(const side_layer* s, const int8_t* x, int32_t pixel,
                        int32_t count, int is_plain, int8_t* y) {
  const ft_conv_params* p = s->l.p;
  const int32_t k16 = 16 * s->groups;
  const int8_t* rows[FT_MVE_PIXELS];
  ft_cursor at = ft_cursor_at(p, pixel);
  int32_t i;
  for (i = 0; i < count; ++i) {
    rows[i] = ft_mve_window(p, x, &at, k16, s->bytes + i * k16);
    ft_cursor_next(p, &at);
  }
  for (; i < FT_MVE_PIXELS; ++i) rows[i] = rows[0];
  if (count == 1)
    one_pixel(s, rows[0], y);
  else if (is_plain && count == FT_MVE_PIXELS)
    plain_pixels(s, rows, y);
  else
    any_pixels(s, rows, count, y);
}

/* The last pixels of a plain layer are computed with those before them. */
void ft_side_conv2d_s8_helium(const void* params, const ft_args* args) {
  const side_layer s = side_layer_of(params, args);
  const ft_conv_params* p = s.l.p;
  const int8_t* x = (const int8_t*)args->in[0];
  int8_t* y = (int8_t*)args->out[0];
  const int32_t pixels = ft_num_pixels(p), k = p->k_h * p->k_w * p->in_c;
  const int is_plain = ft_side_is_plain(&s.l) && ft_side_is_fast(p);
  int32_t pixel, count;
  if (k % 16) memset(s.bytes, 0, (size_t)(FT_MVE_PIXELS * 16 * s.groups));
  for (pixel = 0; pixel < pixels; pixel += count) {
    count = pixels - pixel;
    if (is_plain && count < FT_MVE_PIXELS) pixel = pixels - FT_MVE_PIXELS;
    if (is_plain || count > FT_MVE_PIXELS) count = FT_MVE_PIXELS;
    some_pixels(&s, x, pixel, count, is_plain, y + pixel * p->out_c);
  }
}
