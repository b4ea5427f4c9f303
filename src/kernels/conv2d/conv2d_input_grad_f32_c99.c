#include "kernels/real.h"

#define FT_FN FT_NAME(conv2d_input_grad)
#define FT_W ft_real
#define FT_W_SCALES(args) NULL
#define FT_W_SCALE(co) 1
#include "kernels/conv2d/conv2d_input_grad-inl.h"
