#include "kernels/bfp_conv2d/bfp_conv2d_input_grad-inl.h"
