/* Values rounded to what a quantizer can store, still as floats.
 *
 * Groups of elements share a step. The tensor is walked as rows of `row`
 * elements, each cut into runs of `block` (the last of a row may be shorter);
 * run i belongs to group i % groups. Per tensor: row = block = count, one
 * group. Per channel: row = block = elements behind the channel axis, groups =
 * channels. Per block: groups = all runs.
 *
 * minmax_quantizer: the step of each group, so that its values just fit:
 *   symmetric: scale = max |x| / qmax * ratio
 *   else, with the range widened to hold 0:
 *     scale = (max - min) / (qmax - qmin) * ratio
 *     zero_point = qmin - min / (scale / ratio) + shift * (qmax - qmin)
 * with ratio = exp(log_ratio) or 1. In float32 the scale is rounded up so far
 * that every (q - z) * scale is exact: quantizing again what was quantized
 * symmetrically with ratio 1 to 8 bits or fewer gives the same bits. Groups
 * whose range is below 2^-100 have scale 1.
 * in:  x [count]; log_ratio, shift [groups] or NULL
 * out: scale [groups], zero_point [groups] float (not symmetric only)
 *
 * fake_quantize: y = (q - z) * scale with q = clamp(round(x / scale) + z, qmin,
 * qmax) and z = clamp(round(zero_point), qmin, qmax), or 0 where there is none;
 * halves round to even. As PyTorch's fake quantization, which multiplies by 1 /
 * scale. scale must be positive.
 * in:  x [count], scale [groups], zero_point [groups] float or NULL
 * out: y [count]
 *
 * fake_quantize_grad: dx = dy where round(x / scale) + z lies in [qmin, qmax],
 * else 0 (straight-through).
 * in:  dy [count], x, scale, zero_point
 * out: dx [count]; may be dy
 *
 * fake_quantize_step_grad: of the step and the zero point, times grad_scale:
 *   dscale = sum dy (inside ? (q - z) - x / scale : q - z)
 *   dzero_point = sum dy (inside ? 0 : -scale)
 * Sources: Esser et al., "Learned Step Size Quantization", 2020; Bhalgat et
 * al., "LSQ+", 2020.
 * in:  dy [count], x, scale, zero_point
 * out: dscale [groups], dzero_point [groups] or NULL
 *
 * round_float: y is the nearest float16 or bfloat16 to x, as a float.
 * in:  x [count]
 * out: y [count]; may be x */
#ifndef FT_KERNELS_FAKE_QUANTIZE_FAKE_QUANTIZE_H_
#define FT_KERNELS_FAKE_QUANTIZE_FAKE_QUANTIZE_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t count, row, block, groups;
  int32_t qmin, qmax;
  int32_t symmetric; /* of minmax_quantizer */
  float grad_scale;  /* of fake_quantize_step_grad */
} ft_fake_quantize_params;

/* Consecutive elements of one group; a walk begins with {0, 0, -1}. */
typedef struct {
  int32_t begin, end, group;
} ft_group_run;

static inline int ft_next_group_run(const ft_fake_quantize_params* p,
                                    ft_group_run* run) {
  int32_t left;
  if (run->end >= p->count) return 0;
  run->begin = run->end;
  left = p->row - run->begin % p->row;
  run->end = run->begin + (left < p->block ? left : p->block);
  if (++run->group >= p->groups) run->group = 0;
  return 1;
}

enum { FT_ROUND_FLOAT16 = 0, FT_ROUND_BFLOAT16 = 1 };
typedef struct {
  int32_t count;
  int32_t format;
} ft_round_float_params;

void ft_minmax_quantizer_f32_c99(const void* params, const ft_args* args);
void ft_minmax_quantizer_f64_c99(const void* params, const ft_args* args);
void ft_fake_quantize_f32_c99(const void* params, const ft_args* args);
void ft_fake_quantize_f64_c99(const void* params, const ft_args* args);
void ft_fake_quantize_grad_f32_c99(const void* params, const ft_args* args);
void ft_fake_quantize_grad_f64_c99(const void* params, const ft_args* args);
void ft_fake_quantize_step_grad_f32_c99(const void* params,
                                        const ft_args* args);
void ft_fake_quantize_step_grad_f64_c99(const void* params,
                                        const ft_args* args);
void ft_round_float_f32_c99(const void* params, const ft_args* args);
void ft_round_float_f64_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_FAKE_QUANTIZE_FAKE_QUANTIZE_H_ */
