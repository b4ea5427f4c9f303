#include "kernels/real.h"

#define FT_FN ft_weight_norm_s8_c99
#define FT_W int8_t
#define FT_SCALE(o) ((const float*)args->aux[0])[o]
#include "kernels/weight_norm/weight_norm-inl.h"
