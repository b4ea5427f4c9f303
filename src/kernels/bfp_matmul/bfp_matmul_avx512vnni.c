#define FT_BFP_AVX512
#include "kernels/bfp_matmul/bfp_matmul-inl.h"
