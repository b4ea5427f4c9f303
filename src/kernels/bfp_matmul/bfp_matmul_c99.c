#include "kernels/bfp_matmul/bfp_matmul-inl.h"
