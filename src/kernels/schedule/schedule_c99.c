#include <string.h>

#include "kernels/bfp/soft_float.h"
#include "kernels/schedule/schedule.h"

static const int32_t kOne = 1 << 30; /* 1 in units of 2^-30 */

/* The upper half of a product. */
static uint64_t mul_high(uint64_t a, uint64_t b) {
  const uint64_t low = 0xFFFFFFFFu;
  const uint64_t a0 = a & low, a1 = a >> 32, b0 = b & low, b1 = b >> 32;
  const uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
  const uint64_t other = a0 * b1 + (middle & low);
  return a1 * b1 + (middle >> 32) + (other >> 32);
}

/* beta^t, t >= 1, in units of 2^-63 like beta < 1; by squaring. */
static uint64_t power(uint64_t beta, uint64_t t) {
  uint64_t result = (uint64_t)1 << 63;
  for (; t != 0; t >>= 1) {
    if (t & 1) result = mul_high(result, beta) << 1;
    beta = mul_high(beta, beta) << 1;
  }
  return result;
}

/* 1 / (1 - beta^t). */
static ft_soft correction(uint64_t beta, int64_t t) {
  uint64_t rest, top;
  int32_t spare;
  if (beta == 0) return ft_soft_of(1, 0); /* of optimizers without moments */
  rest = ((uint64_t)1 << 63) - power(beta, (uint64_t)t);
  spare = ft_bit_length(rest) - 32;
  top = spare > 0 ? rest >> spare : rest << -spare;
  return ft_soft_of((int64_t)(((uint64_t)1 << 62) / top), 1 - spare);
}

/* sin(pi u) for |u| <= 1/2, both in units of 2^-30: the Taylor series, whose
 * coefficients have the same unit. */
static int32_t sine(int32_t u) {
  static const int64_t kSeries[] = {3373259426, -5548789346, 2738217788,
                                    -643455389, 88203474,    -7913940,
                                    500689};
  const int64_t square = (int64_t)u * u >> 30;
  int64_t sum = 0;
  int i;
  for (i = 6; i >= 0; --i) sum = kSeries[i] + ((sum * square) >> 30);
  return (int32_t)(sum * u >> 30);
}

/* part / whole, 0 <= part <= whole, in units of 2^-30. */
static int32_t ratio(int64_t part, int64_t whole) {
  if (part >= whole) return kOne;
  while (whole >= (int64_t)1 << 32) whole >>= 1, part >>= 1;
  return (int32_t)(part * kOne / whole);
}

static int32_t factor(const ft_schedule* s, int64_t update) {
  int64_t falling = s->total_updates - s->warmup;
  int32_t progress;
  if (update < s->warmup) return ratio(update + 1, s->warmup);
  if (s->kind == FT_SCHEDULE_CONSTANT) return kOne;
  if (falling < 1) falling = 1;
  progress = ratio(update - s->warmup, falling);
  if (s->kind == FT_SCHEDULE_LINEAR) return kOne - progress;
  return kOne / 2 + sine(kOne / 2 - progress) / 2;
}

typedef struct {
  ft_soft lr, correction1, correction2;
} numbers;

static numbers numbers_of(const ft_schedule* s, int64_t step) {
  /* A division of 64 bits takes hundreds of instructions. */
  const int64_t update = s->accumulate == 1 ? step : step / s->accumulate;
  numbers n;
  n.lr = ft_soft_mul(ft_soft_of(s->lr_mantissa, s->lr_exponent),
                     ft_soft_of(factor(s, update), -30));
  n.correction1 = correction(s->beta1, update + 1);
  n.correction2 = correction(s->beta2, update + 1);
  return n;
}

static int32_t holds(const ft_schedule* s, int64_t step) {
  return s->accumulate != 1 && (step + 1) % s->accumulate != 0;
}

/* 2^e, for a normal float. */
static float power_of_two(int32_t e) {
  const uint32_t bits = (uint32_t)(e + 127) << 23;
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

/* In two factors, because 2^e itself may be too small for a float. */
static float to_float(ft_soft a) {
  const int32_t e = a.e < -150 ? -150 : a.e;
  return (float)a.m * power_of_two(e / 2) * power_of_two(e - e / 2);
}

void ft_schedule_f32(const ft_schedule* s, int64_t step, float hyper[4]) {
  const numbers n = numbers_of(s, step);
  hyper[0] = to_float(n.lr);
  hyper[1] = to_float(n.correction1);
  hyper[2] = to_float(n.correction2);
  hyper[3] = (float)holds(s, step);
}

void ft_schedule_s32(const ft_schedule* s, int64_t step, uint64_t seed,
                     int32_t hyper[12]) {
  const numbers n = numbers_of(s, step);
  hyper[0] = n.lr.m;
  hyper[1] = n.lr.e;
  hyper[2] = n.correction1.m;
  hyper[3] = n.correction1.e;
  hyper[4] = n.correction2.m;
  hyper[5] = n.correction2.e;
  hyper[6] = (int32_t)(uint32_t)seed;
  hyper[7] = (int32_t)(uint32_t)(seed >> 32);
  hyper[8] = (int32_t)(uint32_t)(uint64_t)step;
  hyper[9] = (int32_t)(uint32_t)((uint64_t)step >> 32);
  hyper[10] = holds(s, step);
  hyper[11] = 0;
}
