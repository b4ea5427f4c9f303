#include "kernels/bfp_side_depthwise_conv2d/bfp_side_depthwise_conv2d-inl.h"
