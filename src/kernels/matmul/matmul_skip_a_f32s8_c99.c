#include "kernels/real.h"

#define FT_FN ft_matmul_skip_a_f32s8_c99
#define FT_B int8_t
#define FT_SCALES(args) (const float*)(args)->aux[0]
#define FT_B_AT(v, l, j) \
  (scale[scale_index(p, j, l)] * (ft_real)((v)-p->b_zero_point))
#include "kernels/matmul/matmul_skip-inl.h"
