#include "kernels/binary/binary.h"
#include "kernels/quant/fixed_point_math.h"

/* q - zero_point with `left_shift` more bits, times its scale's share. */
static int32_t rescaled(int32_t q, int32_t zero_point, int32_t left_shift,
                        int32_t multiplier, int32_t shift) {
  return ft_requantize((q - zero_point) * (1 << left_shift), multiplier, shift);
}

static int32_t combine(const ft_binary_params* p, int32_t a, int32_t b) {
  int32_t u, v;
  if (p->kind == FT_BINARY_MUL)
    return (a - p->a_zero_point) * (b - p->b_zero_point);
  u = rescaled(a, p->a_zero_point, p->left_shift, p->a_multiplier, p->a_shift);
  v = rescaled(b, p->b_zero_point, p->left_shift, p->b_multiplier, p->b_shift);
  switch (p->kind) {
    case FT_BINARY_ADD: return u + v;
    case FT_BINARY_SUB: return u - v;
    default: return (u - v) * (u - v);
  }
}

static int8_t element(const ft_binary_params* p, int32_t a, int32_t b) {
  int32_t y;
  if (p->kind == FT_BINARY_MAXIMUM) {
    y = a > b ? a : b;
  } else if (p->kind == FT_BINARY_MINIMUM) {
    y = a < b ? a : b;
  } else {
    /* Wraps for scales so small that the reference overflows too. */
    y = ft_q_add(ft_requantize(combine(p, a, b), p->y_multiplier, p->y_shift),
                 p->y_zero_point);
  }
  return (int8_t)ft_clamp_i32(y, p->q_low, p->q_high);
}

void ft_binary_s8_c99(const void* params, const ft_args* args) {
  const ft_binary_params* p = (const ft_binary_params*)params;
  const int32_t rows = ft_num_rows(&p->pair), last = p->pair.rank - 1;
  /* Of one row; more rows are not divided. */
  const ft_part part = ft_part_of(args, p->pair.dims[last]);
  const int32_t n = part.end - part.first;
  const int8_t* a =
      (const int8_t*)args->in[0] + part.first * p->pair.a_stride[last];
  const int8_t* b =
      (const int8_t*)args->in[1] + part.first * p->pair.b_stride[last];
  int8_t* y = (int8_t*)args->out[0] + part.first;
  const int32_t sa = p->pair.a_stride[last], sb = p->pair.b_stride[last];
  ft_row row = {{0}, 0, 0};
  int32_t r, i;
  for (r = 0; r < rows; ++r, y += n) {
    for (i = 0; i < n; ++i)
      y[i] = element(p, a[row.a + i * sa], b[row.b + i * sb]);
    ft_next_row(&p->pair, &row);
  }
}
