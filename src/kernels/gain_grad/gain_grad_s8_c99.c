#include "kernels/quant/low_rank.h"
#include "kernels/real.h"

#define FT_FN ft_gain_grad_s8_c99
#define FT_X int8_t
#define FT_W int8_t
#define FT_BIAS int32_t
#define FT_SUM int32_t
#define FT_X_AT(v) ((v)-c->x_zero_point)
#define FT_SUM_AT(sum, co)                                \
  ((ft_real)(bias ? ft_add_wrap(sum, bias[co]) : (sum)) * \
   ((const float*)args->aux[0])[co])
#include "kernels/gain_grad/gain_grad-inl.h"
