#include "kernels/real.h"

#define FT_FORWARD FT_NAME(block_conv2d)
#define FT_WEIGHT_GRAD FT_NAME(block_conv2d_weight_grad)
#define FT_X ft_real
#define FT_X_AT(v) (v)
#include "kernels/block_conv2d/block_conv2d-inl.h"
