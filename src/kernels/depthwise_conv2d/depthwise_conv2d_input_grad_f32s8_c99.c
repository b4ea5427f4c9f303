#include "kernels/real.h"

#define FT_FN ft_depthwise_conv2d_input_grad_f32s8_c99
#define FT_W int8_t
#define FT_W_SCALES(args) (const float*)(args)->aux[0]
#define FT_W_SCALE(c) w_scale[c]
#include "kernels/depthwise_conv2d/depthwise_conv2d_input_grad-inl.h"
