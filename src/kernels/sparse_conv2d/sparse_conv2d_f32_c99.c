#include "kernels/real.h"

#define FT_FORWARD FT_NAME(sparse_conv2d)
#define FT_VALUES_GRAD FT_NAME(sparse_conv2d_values_grad)
#define FT_X ft_real
#define FT_X_AT(v) (v)
#include "kernels/sparse_conv2d/sparse_conv2d-inl.h"
