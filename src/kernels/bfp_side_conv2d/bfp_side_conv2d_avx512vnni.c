#define FT_BFP_AVX512
#include "kernels/bfp_side_conv2d/bfp_side_conv2d-inl.h"
