#include "kernels/real.h"

#define FT_FN ft_depthwise_conv2d_s8f32_c99
#define FT_X int8_t
#define FT_X_AT(v) ((ft_real)((v)-p->x_zero_point))
#include "kernels/depthwise_conv2d/depthwise_conv2d-inl.h"
