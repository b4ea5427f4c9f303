#include "kernels/real.h"

#define FT_FN FT_NAME(outer_sgd_update)
#include "kernels/sgd_update/outer_sgd_update-inl.h"
