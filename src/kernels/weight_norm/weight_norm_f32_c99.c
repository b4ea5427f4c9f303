#include "kernels/real.h"

#define FT_FN FT_NAME(weight_norm)
#define FT_W ft_real
#define FT_SCALE(o) 1
#include "kernels/weight_norm/weight_norm-inl.h"
