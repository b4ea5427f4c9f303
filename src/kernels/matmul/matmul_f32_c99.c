#include "kernels/real.h"

#define FT_FN FT_NAME(matmul)
#define FT_A ft_real
#define FT_B ft_real
#define FT_SCALES(args) NULL
#define FT_A_AT(v, i, l) (v)
#define FT_B_AT(v, l, j) (v)
#include "kernels/matmul/matmul-inl.h"
