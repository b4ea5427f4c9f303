#include "kernels/real.h"

#define FT_FN FT_NAME(gain_grad)
#define FT_X ft_real
#define FT_W ft_real
#define FT_BIAS ft_real
#define FT_SUM ft_real
#define FT_X_AT(v) (v)
#define FT_SUM_AT(sum, co) ((sum) + (bias ? bias[co] : 0))
#include "kernels/gain_grad/gain_grad-inl.h"
