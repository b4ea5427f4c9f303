/* Constants of an int8 addition or subtraction of equal shapes, for rows of
 * microcontrollers. A term is brought to the common scale by one multiplication
 * and one shift to the right; so is their sum. */
#ifndef FT_KERNELS_BINARY_DEVICE_ADD_H_
#define FT_KERNELS_BINARY_DEVICE_ADD_H_

#include "kernels/binary/binary.h"

/* q = (m + (m < 0 ? fix : 0) + offset) >> right, where m is the product with
 * `multiplier`, rounded at bit 31. Without a shift halves need no care: fix and
 * offset are 0 then. */
typedef struct {
  int32_t multiplier, fix, offset, right;
} ft_device_rescale;

static inline ft_device_rescale ft_device_rescale_of(int32_t multiplier,
                                                     int32_t shift,
                                                     int32_t zero_point) {
  ft_device_rescale r;
  r.multiplier = multiplier;
  r.right = -shift;
  r.fix = shift < 0 ? -1 : 0;
  r.offset = (shift < 0 ? 1 << (r.right - 1) : 0) + zero_point * (1 << r.right);
  return r;
}

/* `elements` is a count of y's. */
typedef struct {
  ft_device_rescale a, b, y;
  int32_t a_start, b_start; /* -zero_point, shifted left */
  int32_t is_sub, elements;
} ft_device_add;

static inline ft_device_add ft_device_add_of(const ft_binary_params* p) {
  ft_device_add d;
  int32_t i;
  d.a = ft_device_rescale_of(p->a_multiplier, p->a_shift, 0);
  d.b = ft_device_rescale_of(p->b_multiplier, p->b_shift, 0);
  d.y = ft_device_rescale_of(p->y_multiplier, p->y_shift, p->y_zero_point);
  d.a_start = -p->a_zero_point * (1 << p->left_shift);
  d.b_start = -p->b_zero_point * (1 << p->left_shift);
  d.is_sub = p->kind == FT_BINARY_SUB;
  d.elements = 1;
  for (i = 0; i < p->pair.rank; ++i) d.elements *= p->pair.dims[i];
  return d;
}

/* Shifts of at most 22 to the right, none to the left. Whether the shapes are
 * equal is the caller's business. */
static inline int ft_device_add_accepts(const ft_binary_params* p) {
  return (p->kind == FT_BINARY_ADD || p->kind == FT_BINARY_SUB) &&
         p->left_shift == FT_BINARY_LEFT_SHIFT && p->a_shift <= 0 &&
         p->b_shift <= 0 && p->y_shift <= 0 && p->a_shift >= -22 &&
         p->b_shift >= -22 && p->y_shift >= -22;
}

#endif /* FT_KERNELS_BINARY_DEVICE_ADD_H_ */
