#include "kernels/bfp_depthwise_conv2d/bfp_depthwise_conv2d_input_grad-inl.h"
