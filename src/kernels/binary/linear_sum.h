/* int8 addition and subtraction as one rounded line of both operands.
 *
 * The reference rounds three times on its way, to few bits of so small a unit
 * that
 *   clamp(((a A + b B + offset) >> right) + y_zero_point)
 * gives the same bytes for nearly all quantizers. ft_find_linear_sum() decides
 * this for one node by comparing all 65536 pairs of operands with the C99 row;
 * that takes a millisecond, so it belongs to compiling. */
#ifndef FT_KERNELS_BINARY_LINEAR_SUM_H_
#define FT_KERNELS_BINARY_LINEAR_SUM_H_

#include "kernels/binary/binary.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A = 256 (high + low / 2^15), so that products of int16 suffice:
 *   a A = 256 a high + ((256 a low) >> 15), operands together before >>. */
typedef struct {
  int32_t a_high, a_low, b_high, b_low; /* int16 */
  int32_t offset;                       /* no sum with it leaves int32 */
  int32_t right;                        /* 1 to 30 */
} ft_linear_sum;

/* a A + b B. */
static inline int32_t ft_linear_sum_at(const ft_linear_sum* s, int32_t a,
                                       int32_t b) {
  const int32_t high = 256 * (a * s->a_high + b * s->b_high);
  return high + ((256 * (a * s->a_low + b * s->b_low)) >> 15);
}

/* Returns 0 if no such line gives the C99 row's results. */
int ft_find_linear_sum(const ft_binary_params* p, ft_linear_sum* s);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BINARY_LINEAR_SUM_H_ */
