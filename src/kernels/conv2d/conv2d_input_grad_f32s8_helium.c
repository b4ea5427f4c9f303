/* The C99 row under the name of Helium's, whose forward row holds weights as
 * they are: with this row before that of DSP, flash holds them once. MVE's own
 * float arithmetic flushes subnormal numbers, so it has other bits. */
#include "kernels/real.h"

#define FT_FN ft_conv2d_input_grad_f32s8_helium
#define FT_W int8_t
#define FT_W_SCALES(args) (const float*)(args)->aux[0]
#define FT_W_SCALE(co) w_scale[co]
#include "kernels/conv2d/conv2d_input_grad-inl.h"
