#include <math.h>

#include "kernels/binary/linear_sum.h"

/* Share of one step of an operand in the output, in output steps. */
static double slope(const ft_binary_params* p, int32_t multiplier,
                    int32_t shift) {
  return ldexp((double)multiplier, shift + p->left_shift - 31) *
         ldexp((double)p->y_multiplier, p->y_shift - 31);
}

/* Splits slope * 2^right; 0 if it does not fit. */
static int split(double slope, int right, int32_t* high, int32_t* low) {
  const double units = ldexp(slope, right) / 256, whole = floor(units);
  if (!(fabs(whole) < INT16_MAX)) return 0;
  *high = (int32_t)whole;
  *low = (int32_t)((units - whole) * 32768);
  return 1;
}

/* The most precise line that stays in int32 for all operands. */
static int scale(const ft_binary_params* p, ft_linear_sum* s) {
  const double a = slope(p, p->a_multiplier, p->a_shift);
  const double b = slope(p, p->b_multiplier, p->b_shift) *
                   (p->kind == FT_BINARY_SUB ? -1 : 1);
  /* |a| and the zero point are at most 128 each. */
  const double most = 256 * (fabs(a) + fabs(b)) + 2;
  for (s->right = 30; s->right > 0; --s->right) {
    if (ldexp(most, s->right) < INT32_MAX &&
        split(a, s->right, &s->a_high, &s->a_low) &&
        split(b, s->right, &s->b_high, &s->b_low))
      return 1;
  }
  return 0;
}

/* Offsets that give the right results so far, and the sums that they meet. */
typedef struct {
  int64_t low, high;
  int64_t least, most;
} offsets;

/* Narrows `o` by all operands b beside one a. */
static void narrow(const ft_binary_params* p, const ft_linear_sum* s, int32_t a,
                   const int8_t y[256], offsets* o) {
  int32_t i;
  for (i = 0; i < 256; ++i) {
    const int64_t sum = ft_linear_sum_at(s, a, i - 128);
    const int64_t first = ((int64_t)y[i] - p->y_zero_point) * (1 << s->right);
    const int64_t next = first + (1 << s->right);
    /* What the clamp cuts off may lie anywhere beyond. */
    if (y[i] > p->q_low && first - sum > o->low) o->low = first - sum;
    if (y[i] < p->q_high && next - 1 - sum < o->high) o->high = next - 1 - sum;
    if (sum < o->least) o->least = sum;
    if (sum > o->most) o->most = sum;
  }
}

static int is_sum(const ft_binary_params* p) {
  return (p->kind == FT_BINARY_ADD || p->kind == FT_BINARY_SUB) &&
         p->q_low < p->q_high;
}

int ft_find_linear_sum(const ft_binary_params* p, ft_linear_sum* s) {
  ft_binary_params row = *p;
  offsets o = {-INT32_MAX, INT32_MAX, 0, 0};
  int8_t a[1], b[256], y[256];
  void* const in[] = {a, b};
  void* const out[] = {y};
  const ft_args args = {in, NULL, out, NULL, NULL};
  int32_t i;
  if (!is_sum(p) || !scale(p, s)) return 0;
  row.pair.rank = 1;
  row.pair.dims[0] = 256;
  row.pair.a_stride[0] = 0;
  row.pair.b_stride[0] = 1;
  for (i = 0; i < 256; ++i) b[i] = (int8_t)(i - 128);
  for (i = -128; i < 128 && o.low <= o.high; ++i) {
    a[0] = (int8_t)i;
    ft_binary_s8_c99(&row, &args);
    narrow(p, s, i, y, &o);
  }
  if (o.low > o.high) return 0;
  s->offset = (int32_t)(o.low + (o.high - o.low) / 2);
  return o.most + s->offset <= INT32_MAX && o.least + s->offset >= INT32_MIN;
}
