#include "kernels/real.h"

#define FT_FN FT_NAME(depthwise_conv2d_input_grad)
#define FT_W ft_real
#define FT_W_SCALES(args) NULL
#define FT_W_SCALE(c) 1
#include "kernels/depthwise_conv2d/depthwise_conv2d_input_grad-inl.h"
