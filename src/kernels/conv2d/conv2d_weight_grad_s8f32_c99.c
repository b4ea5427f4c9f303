#include "kernels/real.h"

#define FT_FN ft_conv2d_weight_grad_s8f32_c99
#define FT_X int8_t
#define FT_X_AT(v) ((ft_real)((v)-p->x_zero_point))
#include "kernels/conv2d/conv2d_weight_grad-inl.h"
