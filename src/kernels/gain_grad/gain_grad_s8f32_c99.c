#include "kernels/real.h"

#define FT_FN ft_gain_grad_s8f32_c99
#define FT_X int8_t
#define FT_W ft_real
#define FT_BIAS ft_real
#define FT_SUM ft_real
#define FT_X_AT(v) ((ft_real)((v)-c->x_zero_point))
#define FT_SUM_AT(sum, co) ((sum) * (ft_real)c->x_scale + (bias ? bias[co] : 0))
#include "kernels/gain_grad/gain_grad-inl.h"
