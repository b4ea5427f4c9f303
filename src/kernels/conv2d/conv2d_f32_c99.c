#include "kernels/real.h"

#define FT_FN FT_NAME(conv2d)
#define FT_X ft_real
#define FT_X_AT(v) (v)
#include "kernels/conv2d/conv2d-inl.h"
