/* Rotary position embedding: each pair (x, y) of a head's elements is turned by
 * the angle that its position and place in the head give.
 *
 * in:  x [rows, heads * head_dim] float; row r is position r mod seq_len
 * aux: [seq_len, head_dim / 2, 2] float32, cosine and sine of each angle
 * out: y; may be x. `inverse` turns back, which is the gradient
 * Pair i is elements (2i, 2i + 1) of the head, or with `half` (i, i + d/2). */
#ifndef FT_KERNELS_ROPE_H_
#define FT_KERNELS_ROPE_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t rows, heads, head_dim, seq_len;
  int32_t half, inverse;
} ft_rope_params;

void ft_rope_f32_c99(const void* params, const ft_args* args);
void ft_rope_f64_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_ROPE_H_ */
