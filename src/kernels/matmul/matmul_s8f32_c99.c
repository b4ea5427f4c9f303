#include "kernels/real.h"

#define FT_FN ft_matmul_s8f32_c99
#define FT_A int8_t
#define FT_B ft_real
#define FT_SCALES(args) (const float*)(args)->aux[0]
#define FT_A_AT(v, i, l) \
  (scale[scale_index(p, i, l)] * (ft_real)((v)-p->a_zero_point))
#define FT_B_AT(v, l, j) (v)
#include "kernels/matmul/matmul-inl.h"
