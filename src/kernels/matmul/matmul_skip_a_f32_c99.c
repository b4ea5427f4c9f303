#include "kernels/real.h"

#define FT_FN FT_NAME(matmul_skip_a)
#define FT_B ft_real
#define FT_SCALES(args) NULL
#define FT_B_AT(v, l, j) (v)
#include "kernels/matmul/matmul_skip-inl.h"
