#include "kernels/real.h"

#define FT_FORWARD ft_sparse_conv2d_s8f32_c99
#define FT_VALUES_GRAD ft_sparse_conv2d_values_grad_s8f32_c99
#define FT_X int8_t
#define FT_X_AT(v) ((ft_real)((v)-p->x_zero_point))
#include "kernels/sparse_conv2d/sparse_conv2d-inl.h"
