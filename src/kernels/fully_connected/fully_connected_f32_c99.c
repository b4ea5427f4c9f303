#include "kernels/real.h"

#define FT_FN FT_NAME(fully_connected)
#define FT_X ft_real
#define FT_X_AT(v) (v)
#include "kernels/fully_connected/fully_connected-inl.h"
