#include "kernels/real.h"

#define FT_FORWARD ft_block_conv2d_s8f32_c99
#define FT_WEIGHT_GRAD ft_block_conv2d_weight_grad_s8f32_c99
#define FT_X int8_t
#define FT_X_AT(v) ((ft_real)((v)-p->x_zero_point))
#include "kernels/block_conv2d/block_conv2d-inl.h"
