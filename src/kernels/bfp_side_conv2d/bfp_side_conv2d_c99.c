#include "kernels/bfp_side_conv2d/bfp_side_conv2d-inl.h"
