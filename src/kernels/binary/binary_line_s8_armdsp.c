/* int8 addition and subtraction of equal shapes with the DSP extension, where
 * one rounded line of both operands gives the bytes of the C99 row
 * (linear_sum.h): the operands of an element share a word, and so do factors.
 *
 * aux: ft_linear_sum. */
#include "kernels/binary/linear_sum.h"
#include "kernels/quant/s8_armdsp.h"

typedef struct {
  int32_t high, low; /* factors of a and b */
  int32_t offset, right, zero_point;
} line;

static inline int32_t pair_of(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)b << 16 | ((uint32_t)a & 0xFFFF));
}

/* An output from a word of both operands. */
static inline int32_t at(const line* l, int32_t both) {
  int32_t low, high;
  __asm("smuad %0, %1, %2" : "=r"(low) : "r"(both), "r"(l->low));
  __asm("smuad %0, %1, %2" : "=r"(high) : "r"(both), "r"(l->high));
  return ((l->offset + (low >> 7) + high * 256) >> l->right) + l->zero_point;
}

FT_DSP_COPIED int8_t clamped(int32_t v, int is_byte, int32_t low,
                             int32_t high) {
  if (!is_byte) return (int8_t)ft_clamp_i32(v, low, high);
  __asm("ssat %0, #8, %1" : "=r"(v) : "r"(v));
  return (int8_t)v;
}

/* Elements 0 and 2 of four, in the halves of a and b, or 1 and 3. */
FT_DSP_COPIED void two(const line* l, int32_t a, int32_t b, int is_byte,
                       int32_t low, int32_t high, int8_t* y) {
  int32_t first, second;
  __asm("pkhbt %0, %1, %2, lsl #16" : "=r"(first) : "r"(a), "r"(b));
  __asm("pkhtb %0, %1, %2, asr #16" : "=r"(second) : "r"(b), "r"(a));
  y[0] = clamped(at(l, first), is_byte, low, high);
  y[2] = clamped(at(l, second), is_byte, low, high);
}

FT_DSP_COPIED void add(const ft_binary_params* p, const line* of, int is_byte,
                       const int8_t* a, const int8_t* b, int8_t* y) {
  const line l = *of;
  const int32_t low = p->q_low, high = p->q_high, count = p->pair.dims[0];
  const int8_t *end4 = a + (count & ~3), *end = a + count;
  for (; a != end4; a += 4, b += 4, y += 4) {
    const int32_t u = ft_dsp_load(a), v = ft_dsp_load(b);
    two(&l, ft_dsp_even(u), ft_dsp_even(v), is_byte, low, high, y);
    two(&l, ft_dsp_odd(u), ft_dsp_odd(v), is_byte, low, high, y + 1);
  }
  for (; a != end; ++a, ++b, ++y)
    *y = clamped(at(&l, pair_of(*a, *b)), is_byte, low, high);
}

void ft_binary_line_s8_armdsp(const void* params, const ft_args* args) {
  const ft_binary_params* p = (const ft_binary_params*)params;
  const ft_linear_sum* s = (const ft_linear_sum*)args->aux[0];
  const int8_t* a = (const int8_t*)args->in[0];
  const int8_t* b = (const int8_t*)args->in[1];
  int8_t* y = (int8_t*)args->out[0];
  line l;
  l.high = pair_of(s->a_high, s->b_high);
  l.low = pair_of(s->a_low, s->b_low);
  l.offset = s->offset;
  l.right = s->right;
  l.zero_point = p->y_zero_point;
  if (p->q_low == -128 && p->q_high == 127)
    add(p, &l, 1, a, b, y);
  else
    add(p, &l, 0, a, b, y);
}
