/* int8 addition and subtraction of equal shapes with the DSP extension. */
#include "kernels/binary/device_add.h"
#include "kernels/quant/s8_armdsp.h"

/* `start` + x, both shifted left, on the common scale. Twice it is an int32. */
static inline int32_t rescale(int32_t x, const ft_device_rescale* r) {
  const int32_t twice = x * 2;
  int32_t v;
  __asm("smmulr %0, %1, %2" : "=r"(v) : "r"(twice), "r"(r->multiplier));
  return (v + ((v >> 31) & r->fix) + r->offset) >> r->right;
}

FT_DSP_COPIED void add(const ft_device_add* d, const int8_t* a, const int8_t* b,
                       int is_sub, int32_t low, int32_t high, int8_t* y) {
  const ft_device_rescale ra = d->a, rb = d->b, ry = d->y;
  const int32_t a_start = d->a_start, b_start = d->b_start;
  const int32_t unit = 1 << FT_BINARY_LEFT_SHIFT;
  const int8_t* end = a + d->elements;
  while (a != end) {
    const int32_t u = rescale(a_start + *a++ * unit, &ra);
    const int32_t v = rescale(b_start + *b++ * unit, &rb);
    const int32_t q = rescale(is_sub ? u - v : u + v, &ry);
    *y++ = (int8_t)ft_clamp_i32(q, low, high);
  }
}

void ft_binary_s8_armdsp(const void* params, const ft_args* args) {
  const ft_binary_params* p = (const ft_binary_params*)params;
  ft_device_add d = ft_device_add_of(p);
  const ft_part part = ft_part_of(args, d.elements);
  const int8_t* a = (const int8_t*)args->in[0] + part.first;
  const int8_t* b = (const int8_t*)args->in[1] + part.first;
  int8_t* y = (int8_t*)args->out[0] + part.first;
  d.elements = part.end - part.first;
  if (d.is_sub)
    add(&d, a, b, 1, p->q_low, p->q_high, y);
  else
    add(&d, a, b, 0, p->q_low, p->q_high, y);
}
