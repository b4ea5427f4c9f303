#include "kernels/real.h"

#define FT_FN FT_NAME(depthwise_conv2d)
#define FT_X ft_real
#define FT_X_AT(v) (v)
#include "kernels/depthwise_conv2d/depthwise_conv2d-inl.h"
