#include "kernels/binary/binary.h"
#include "kernels/real.h"

static ft_real squared(ft_real v) { return v * v; }

/* One row; `sa` and `sb` are 0 or 1. */
static void run_row(int32_t kind, int32_t n, const ft_real* a, int32_t sa,
                    const ft_real* b, int32_t sb, ft_real* y) {
  int32_t i;
#define FT_ROW(expression)       \
  for (i = 0; i < n; ++i) {      \
    const ft_real u = a[i * sa]; \
    const ft_real v = b[i * sb]; \
    y[i] = (expression);         \
  }                              \
  break
  switch (kind) {
    case FT_BINARY_ADD: FT_ROW(u + v);
    case FT_BINARY_SUB: FT_ROW(u - v);
    case FT_BINARY_MUL: FT_ROW(u * v);
    case FT_BINARY_DIV: FT_ROW(u / v);
    case FT_BINARY_MAXIMUM: FT_ROW(u > v ? u : v);
    case FT_BINARY_MINIMUM: FT_ROW(u < v ? u : v);
    case FT_BINARY_SQUARED_DIFFERENCE: FT_ROW(squared(u - v));
  }
#undef FT_ROW
}

void FT_NAME(binary)(const void* params, const ft_args* args) {
  const ft_binary_params* p = (const ft_binary_params*)params;
  const int32_t rows = ft_num_rows(&p->pair), last = p->pair.rank - 1;
  /* Of one row; more rows are not divided. */
  const ft_part part = ft_part_of(args, p->pair.dims[last]);
  const int32_t n = part.end - part.first;
  const ft_real* a =
      (const ft_real*)args->in[0] + part.first * p->pair.a_stride[last];
  const ft_real* b =
      (const ft_real*)args->in[1] + part.first * p->pair.b_stride[last];
  ft_real* y = (ft_real*)args->out[0] + part.first;
  ft_row row = {{0}, 0, 0};
  int32_t r, i;
  for (r = 0; r < rows; ++r, y += n) {
    run_row(p->kind, n, a + row.a, p->pair.a_stride[last], b + row.b,
            p->pair.b_stride[last], y);
    if (p->act != FT_ACT_NONE)
      for (i = 0; i < n; ++i) y[i] = ft_apply_act(y[i], p->act);
    ft_next_row(&p->pair, &row);
  }
}
