#include "kernels/real.h"

#define FT_FN FT_NAME(unary_grad)
#define FT_SAVED ft_real
#define FT_SAVED_AT(v) (v)
#include "kernels/unary/unary_grad-inl.h"
