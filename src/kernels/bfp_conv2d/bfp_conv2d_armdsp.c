#define FT_BFP_ARMDSP
#include "kernels/bfp/armdsp.h"
#include "kernels/bfp_conv2d/bfp_conv2d-inl.h"
