#include "kernels/bfp_depthwise_conv2d/bfp_depthwise_conv2d_weight_grad-inl.h"
