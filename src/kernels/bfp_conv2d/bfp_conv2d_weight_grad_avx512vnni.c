#define FT_BFP_AVX512
#include "kernels/bfp_conv2d/bfp_conv2d_weight_grad-inl.h"
