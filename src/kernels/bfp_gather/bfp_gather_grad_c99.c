#include "kernels/bfp/bfp.h"
#include "kernels/bfp_gather/bfp_gather.h"

typedef struct {
  const ft_gather_params* p;
  const int16_t* dy;
  const int32_t* indices;
} context;

static void fill_row(const void* ctx, int32_t row, int64_t* acc) {
  const context* c = (const context*)ctx;
  const ft_gather_params* p = c->p;
  const int16_t* dy = c->dy + row * p->count * p->inner;
  int32_t i, k;
  for (k = 0; k < p->dim * p->inner; ++k) acc[k] = 0;
  for (i = 0; i < p->count; ++i, dy += p->inner) {
    int64_t* to = acc + ft_gather_index(c->indices[i], p->dim) * p->inner;
    for (k = 0; k < p->inner; ++k) to[k] += dy[k];
  }
}

void ft_bfp_gather_grad_c99(const void* params, const ft_args* args) {
  const ft_gather_params* p = (const ft_gather_params*)params;
  context c;
  c.p = p;
  c.dy = (const int16_t*)args->in[0];
  c.indices = (const int32_t*)args->in[2];
  ft_bfp_rows(fill_row, &c, p->outer, p->dim * p->inner,
              (int64_t*)args->scratch, (int32_t*)args->in[3],
              *(const int32_t*)args->in[1], args);
}
