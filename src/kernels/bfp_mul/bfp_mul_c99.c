#include "kernels/bfp/bfp.h"
#include "kernels/bfp_mul/bfp_mul.h"

typedef struct {
  const int16_t *a, *b;
} operands;

static void product_at(const void* context, int32_t i, int64_t* acc) {
  const operands* o = (const operands*)context;
  acc[0] = (int32_t)o->a[i] * o->b[i];
}

void ft_bfp_mul_c99(const void* params, const ft_args* args) {
  const ft_bfp_mul_params* p = (const ft_bfp_mul_params*)params;
  int64_t acc;
  operands o;
  o.a = (const int16_t*)args->in[0];
  o.b = (const int16_t*)args->in[2];
  ft_bfp_rows(product_at, &o, p->count, 1, &acc, (int32_t*)args->in[4],
              (int64_t) * (const int32_t*)args->in[1] +
                  *(const int32_t*)args->in[3] + p->exponent,
              args);
}

void ft_bfp_relu_c99(const void* params, const ft_args* args) {
  const ft_bfp_relu_params* p = (const ft_bfp_relu_params*)params;
  const int16_t* x = (const int16_t*)args->in[0];
  int16_t* y = (int16_t*)args->out[0];
  int32_t i;
  for (i = 0; i < p->count; ++i) y[i] = x[i] > 0 ? x[i] : 0;
}
