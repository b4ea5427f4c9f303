/* A convolution whose weights are 0 but for some blocks of input channels, and
 * its gradients: the first factor of a block-sparse LoRA. What is 0 is neither
 * stored nor read nor multiplied.
 *
 * A block is `block` neighbouring channels; index [blocks] int32 says which
 * ones, in the order of the weights' last axis, whose length is `kept` = blocks
 * * block. A number out of range reads the nearest block. No groups.
 *
 * block_conv2d
 *   in:  x [n, in_h, in_w, in_c] float or int8, w [out_c, k_h, k_w, kept]
 *        float, index
 *   out: y [n, out_h, out_w, out_c]
 * block_conv2d_weight_grad
 *   in:  x, dy [n, out_h, out_w, out_c], index; out: dw [out_c, k_h, k_w, kept]
 * block_conv2d_input_grad
 *   in:  dy, w, index; out: dx [n, in_h, in_w, in_c], 0 outside of the blocks
 *
 * Sums run in the order of conv2d, over the kept channels, in units of x; the
 * scale of an int8 x comes last. */
#ifndef FT_KERNELS_BLOCK_CONV2D_BLOCK_CONV2D_H_
#define FT_KERNELS_BLOCK_CONV2D_BLOCK_CONV2D_H_

#include "kernels/conv2d/conv_params.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  ft_conv_params conv; /* in_c counts all channels of x */
  int32_t blocks, block;
} ft_block_conv2d_params;
typedef ft_block_conv2d_params ft_block_conv2d_weight_grad_params;
typedef ft_block_conv2d_params ft_block_conv2d_input_grad_params;

/* First channel of block i. */
static inline int32_t ft_block_channel(const ft_block_conv2d_params* p,
                                       const int32_t* index, int32_t i) {
  const int32_t last = p->conv.in_c / p->block - 1;
  const int32_t b = index[i] < 0 ? 0 : (index[i] < last ? index[i] : last);
  return b * p->block;
}

void ft_block_conv2d_f32_c99(const void* params, const ft_args* args);
void ft_block_conv2d_f64_c99(const void* params, const ft_args* args);
void ft_block_conv2d_s8f32_c99(const void* params, const ft_args* args);
void ft_block_conv2d_weight_grad_f32_c99(const void* params,
                                         const ft_args* args);
void ft_block_conv2d_weight_grad_f64_c99(const void* params,
                                         const ft_args* args);
void ft_block_conv2d_weight_grad_s8f32_c99(const void* params,
                                           const ft_args* args);
void ft_block_conv2d_input_grad_f32_c99(const void* params,
                                        const ft_args* args);
void ft_block_conv2d_input_grad_f64_c99(const void* params,
                                        const ft_args* args);

/* Host rows for blocks of whole vectors, FT_BLOCK_LANES channels. */
#define FT_BLOCK_LANES 8
void ft_block_conv2d_f32_hwy(const void* params, const ft_args* args);
void ft_block_conv2d_s8f32_hwy(const void* params, const ft_args* args);
void ft_block_conv2d_weight_grad_f32_hwy(const void* params,
                                         const ft_args* args);
void ft_block_conv2d_weight_grad_s8f32_hwy(const void* params,
                                           const ft_args* args);
void ft_block_conv2d_input_grad_f32_hwy(const void* params,
                                        const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BLOCK_CONV2D_BLOCK_CONV2D_H_ */
