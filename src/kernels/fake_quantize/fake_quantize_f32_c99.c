#include "base/half.h"
#include "kernels/fake_quantize/fake_quantize.h"
#include "kernels/real.h"

/* Sums are taken over so many elements before they are added up. */
enum { kPiece = 256 };

/* Half to even; what lies beyond any quantizer is clamped before. NaN: low. */
static ft_real round_even(ft_real v) {
  const ft_real limit = 1048576, magic = FT_R(12582912.0);
#ifdef FT_REAL_IS_DOUBLE
  const volatile ft_real shift = magic * 536870912.0;
#else
  const ft_real shift = magic;
#endif
  if (!(v > -limit)) return -limit;
  if (v > limit) return limit;
  return (v + shift) - shift;
}

static ft_real clamp(ft_real v, ft_real low, ft_real high) {
  return v < low ? low : (v > high ? high : v);
}

static ft_real zero_point_of(const ft_fake_quantize_params* p,
                             const ft_real* zero_point, int32_t group) {
  if (!zero_point) return 0;
  return clamp(round_even(zero_point[group]), (ft_real)p->qmin,
               (ft_real)p->qmax);
}

/* Up to the next float whose product with every integer of `span` is exact. */
static ft_real short_scale(ft_real scale, int32_t span) {
#ifdef FT_REAL_IS_DOUBLE
  (void)span;
  return scale;
#else
  const uint32_t low = (uint32_t)span; /* 2^n - 1 */
  const uint32_t bits = (ft_bits_of(scale) + low) & ~low;
  return bits < 0x7f800000u ? ft_float_of(bits) : scale;
#endif
}

/* Leaves the width of each group's range in `width` and, unless NULL, its
 * lower end in `low`. */
static void find_ranges(const ft_fake_quantize_params* p, const ft_real* x,
                        ft_real* width, ft_real* low) {
  ft_group_run run = {0, 0, -1};
  int32_t i;
  for (i = 0; i < p->groups; ++i) {
    width[i] = 0;
    if (low) low[i] = 0;
  }
  while (ft_next_group_run(p, &run)) {
    ft_real least = low ? low[run.group] : 0, most = width[run.group];
    for (i = run.begin; i < run.end; ++i) {
      const ft_real v = low ? x[i] : FT_FABS(x[i]);
      if (v < least) least = v;
      if (v > most) most = v;
    }
    width[run.group] = most;
    if (low) low[run.group] = least;
  }
  for (i = 0; low && i < p->groups; ++i) width[i] -= low[i];
}

void FT_NAME(minmax_quantizer)(const void* params, const ft_args* args) {
  const ft_fake_quantize_params* p = (const ft_fake_quantize_params*)params;
  const ft_real* log_ratio = (const ft_real*)args->in[1];
  const ft_real* shift = (const ft_real*)args->in[2];
  ft_real* scale = (ft_real*)args->out[0];
  ft_real* zero_point = p->symmetric ? NULL : (ft_real*)args->out[1];
  const int32_t span = p->symmetric ? p->qmax : p->qmax - p->qmin;
  int32_t g;
  find_ranges(p, (const ft_real*)args->in[0], scale, zero_point);
  for (g = 0; g < p->groups; ++g) {
    ft_real s = scale[g] < FT_R(7.888609e-31) ? 1 : scale[g] / (ft_real)span;
    if (zero_point) {
      zero_point[g] = (ft_real)p->qmin - zero_point[g] / s;
      if (shift) zero_point[g] += shift[g] * (ft_real)span;
    }
    if (log_ratio) s *= FT_EXP(log_ratio[g]);
    scale[g] = short_scale(s, span);
  }
}

void FT_NAME(fake_quantize)(const void* params, const ft_args* args) {
  const ft_fake_quantize_params* p = (const ft_fake_quantize_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  const ft_real* scale = (const ft_real*)args->in[1];
  const ft_real* zero_point = (const ft_real*)args->in[2];
  ft_real* y = (ft_real*)args->out[0];
  ft_group_run run = {0, 0, -1};
  while (ft_next_group_run(p, &run)) {
    const ft_real s = scale[run.group];
    const ft_real z = zero_point_of(p, zero_point, run.group);
    const ft_real low = (ft_real)p->qmin - z, high = (ft_real)p->qmax - z;
    int32_t i;
    for (i = run.begin; i < run.end; ++i)
      y[i] = clamp(round_even(x[i] / s), low, high) * s;
  }
}

void FT_NAME(fake_quantize_grad)(const void* params, const ft_args* args) {
  const ft_fake_quantize_params* p = (const ft_fake_quantize_params*)params;
  const ft_real* dy = (const ft_real*)args->in[0];
  const ft_real* x = (const ft_real*)args->in[1];
  const ft_real* scale = (const ft_real*)args->in[2];
  const ft_real* zero_point = (const ft_real*)args->in[3];
  ft_real* dx = (ft_real*)args->out[0];
  ft_group_run run = {0, 0, -1};
  while (ft_next_group_run(p, &run)) {
    const ft_real s = scale[run.group];
    const ft_real z = zero_point_of(p, zero_point, run.group);
    const ft_real low = (ft_real)p->qmin - z, high = (ft_real)p->qmax - z;
    int32_t i;
    for (i = run.begin; i < run.end; ++i) {
      const ft_real q = round_even(x[i] / s);
      dx[i] = q < low || q > high ? 0 : dy[i];
    }
  }
}

/* Adds the gradients of one piece of a run. */
static void add_step_grad(const ft_real* dy, const ft_real* x, int32_t count,
                          ft_real s, ft_real low, ft_real high, ft_real* dscale,
                          ft_real* dzero) {
  ft_real scale_sum = 0, zero_sum = 0;
  int32_t i;
  for (i = 0; i < count; ++i) {
    const ft_real v = x[i] / s, q = round_even(v);
    if (q < low || q > high) {
      scale_sum += dy[i] * (q < low ? low : high);
      zero_sum -= dy[i] * s;
    } else {
      scale_sum += dy[i] * (q - v);
    }
  }
  *dscale += scale_sum;
  *dzero += zero_sum;
}

void FT_NAME(fake_quantize_step_grad)(const void* params, const ft_args* args) {
  const ft_fake_quantize_params* p = (const ft_fake_quantize_params*)params;
  const ft_real* dy = (const ft_real*)args->in[0];
  const ft_real* x = (const ft_real*)args->in[1];
  const ft_real* scale = (const ft_real*)args->in[2];
  const ft_real* zero_point = (const ft_real*)args->in[3];
  ft_real* dscale = (ft_real*)args->out[0];
  ft_real* dzero = zero_point ? (ft_real*)args->out[1] : NULL;
  ft_group_run run = {0, 0, -1};
  ft_real unused = 0;
  int32_t i, part;
  for (i = 0; i < p->groups; ++i) {
    dscale[i] = 0;
    if (dzero) dzero[i] = 0;
  }
  while (ft_next_group_run(p, &run)) {
    const ft_real z = zero_point_of(p, zero_point, run.group);
    for (i = run.begin; i < run.end; i += part) {
      part = run.end - i < kPiece ? run.end - i : kPiece;
      add_step_grad(dy + i, x + i, part, scale[run.group], (ft_real)p->qmin - z,
                    (ft_real)p->qmax - z, dscale + run.group,
                    dzero ? dzero + run.group : &unused);
    }
  }
  for (i = 0; i < p->groups; ++i) {
    dscale[i] *= (ft_real)p->grad_scale;
    if (dzero) dzero[i] *= (ft_real)p->grad_scale;
  }
}

void FT_NAME(round_float)(const void* params, const ft_args* args) {
  const ft_round_float_params* p = (const ft_round_float_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  ft_real* y = (ft_real*)args->out[0];
  int32_t i;
  for (i = 0; i < p->count; ++i) {
    const float v = (float)x[i];
    y[i] = p->format == FT_ROUND_FLOAT16
               ? ft_half_to_float(ft_half_of_float(v))
               : ft_bfloat16_to_float(ft_bfloat16_of_float(v));
  }
}
