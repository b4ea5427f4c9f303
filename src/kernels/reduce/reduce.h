/* y[kept] = sum, mean or maximum of x over the reduced axes, in index order.
 *
 * in:  x float or int8
 * out: y
 * Neighbouring axes of one fate are merged when lowering, so four kept and
 * four reduced axes cover rank 8; unused ones come first and have size 1.
 * int8: a mean is requantized as by TensorFlow Lite's reference kernel, a
 * sum as by its default kernel (the reference one is broken in
 * ai-edge-litert 2.1.6); the maximum keeps x's quantizer. */
#ifndef FT_KERNELS_REDUCE_H_
#define FT_KERNELS_REDUCE_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FT_REDUCE_SUM = 0, FT_REDUCE_MEAN = 1, FT_REDUCE_MAX = 2 };

typedef struct {
  int32_t kind;
  int32_t kept[4], kept_stride[4];       /* outermost first */
  int32_t reduced[4], reduced_stride[4]; /* strides in elements of x */
  int32_t count;                         /* product of reduced[] */
  /* int8 mean: y = y_zero_point + requantized sum of (x - x_zero_point) */
  int32_t multiplier, shift, x_zero_point, y_zero_point;
  /* int8 sum: y = y_zero_point + round(scale * sum of x + bias) */
  float scale, bias;
} ft_reduce_params;

/* Offset in x of the first element that goes into output `i`. */
static inline int32_t ft_reduce_base(const ft_reduce_params* p, int32_t i) {
  int32_t base = 0, axis;
  for (axis = 3; axis >= 0; --axis) {
    base += (i % p->kept[axis]) * p->kept_stride[axis];
    i /= p->kept[axis];
  }
  return base;
}

/* Offset from that base of the j-th element; those after it, up to the next
 * multiple of reduced[3], follow at reduced_stride[3]. */
static inline int32_t ft_reduce_offset(const ft_reduce_params* p, int32_t j) {
  int32_t offset = 0, axis;
  for (axis = 3; axis >= 0; --axis) {
    offset += (j % p->reduced[axis]) * p->reduced_stride[axis];
    j /= p->reduced[axis];
  }
  return offset;
}

static inline int32_t ft_reduce_outputs(const ft_reduce_params* p) {
  return p->kept[0] * p->kept[1] * p->kept[2] * p->kept[3];
}

void ft_reduce_f32_c99(const void* params, const ft_args* args);
void ft_reduce_f64_c99(const void* params, const ft_args* args);
void ft_reduce_s8_c99(const void* params, const ft_args* args);
void ft_reduce_f32_hwy(const void* params, const ft_args* args);
/* Sums and means whose last kept axis is contiguous and has 4 elements. */
int ft_reduce_f32_hwy_accepts(const ft_reduce_params* p);

/* dx = dy at the first maximum in index order, 0 elsewhere.
 * in:  dy float, one element for each output of the reduction
 *      x, y float or int8
 * out: dx float */
void ft_reduce_max_grad_f32_c99(const void* params, const ft_args* args);
void ft_reduce_max_grad_f64_c99(const void* params, const ft_args* args);
void ft_reduce_max_grad_f32s8_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_REDUCE_H_ */
