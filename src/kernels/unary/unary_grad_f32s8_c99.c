#define FT_FN ft_unary_grad_f32s8_c99
#define FT_SAVED int8_t
#define FT_SAVED_AT(v) (p->saved_scale * (float)((v)-p->saved_zero_point))
#include "kernels/unary/unary_grad-inl.h"
