#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/quant/fixed_point.h"
#include "kernels/quant/requant_lines.h"

enum {
  FT_MAX_LEVELS = 256,
  FT_SCALE_TRIES = 33, /* neighbouring floats of the exact scale */
  FT_OFFSET_TRIES = 7
};

static int32_t output_of(const ft_requant* r, int64_t acc) {
  const int32_t a = (int32_t)acc;
  const int32_t q = r->rounds_once
                        ? ft_requantize_once(a, r->multiplier, r->shift)
                        : ft_requantize(a, r->multiplier, r->shift);
  return ft_clamp_i32(q + r->zero_point, r->q_low, r->q_high);
}

/* step[i]: the least sum whose output is q_low + i or above; from
 * [least, most + 1]. */
typedef struct {
  int64_t at[FT_MAX_LEVELS + 1];
  int32_t levels; /* outputs above q_low */
} steps;

/* Each step lies within a few sums of where real numbers have it; given up
 * where that is not so. */
static int find_steps(const ft_requant* r, double scale, steps* s) {
  int32_t i;
  s->levels = r->q_high - r->q_low;
  s->at[0] = r->least;
  for (i = 1; i <= s->levels; ++i) {
    const int32_t level = r->q_low + i;
    const double guess = (level - r->zero_point - 0.5) / scale;
    const double low = (double)r->least, high = (double)r->most;
    int64_t a = (int64_t)(guess < low ? low : (guess > high ? high : guess));
    int tries = 8;
    a = a - 2 < r->least ? r->least : a - 2;
    if (a > r->least && output_of(r, a) >= level) return 0;
    while (a <= r->most && output_of(r, a) < level && --tries > 0) ++a;
    if (tries == 0) return 0;
    s->at[i] = a;
  }
  s->at[s->levels + 1] = r->most + 1;
  return 1;
}

/* One line's duty: right at the steps of levels first .. last, and on the sums
 * begin .. end only. */
typedef struct {
  const ft_requant* r;
  const steps* s;
  int64_t center, begin, end;
  int32_t first, last;
} half_line;

/* Sums beside step `i` that lie in the half; `below` is the last sum of the
 * level before, `above` the first of this one. */
static void sides_of(const half_line* h, int32_t i, int64_t* below,
                     int64_t* above) {
  *above = h->s->at[i] < h->begin ? h->begin : h->s->at[i];
  *below = h->s->at[i] - 1 > h->end ? h->end : h->s->at[i] - 1;
}

/* floor(x * scale + offset). The product of two floats is a double; where their
 * sum is rounded up to a whole number, what it lost says so. */
static int32_t floor_of_line(int32_t x, float scale, float offset) {
  const double product = (double)(float)x * (double)scale, c = (double)offset;
  const double sum = product + c, added = sum - product;
  const double lost = (product - (sum - added)) + (c - added);
  const double whole = floor(sum);
  return (int32_t)whole - (whole == sum && lost < 0 ? 1 : 0);
}

static int32_t on_line(const half_line* h, int64_t acc, float scale,
                       float offset) {
  return floor_of_line((int32_t)(acc - h->center), scale, offset);
}

static int is_right(const half_line* h, float scale, float offset) {
  int32_t i;
  for (i = h->first; i <= h->last; ++i) {
    const int32_t level = h->r->q_low + i;
    int64_t below, above;
    sides_of(h, i, &below, &above);
    if (above <= h->end && on_line(h, above, scale, offset) < level) return 0;
    if (below >= h->begin && on_line(h, below, scale, offset) >= level)
      return 0;
  }
  return 1;
}

/* Offsets between `low` and `high` would be right for exact arithmetic. */
static void offset_range(const half_line* h, double scale, double* low,
                         double* high) {
  int32_t i;
  *low = -DBL_MAX;
  *high = DBL_MAX;
  for (i = h->first; i <= h->last; ++i) {
    const double edge = h->r->q_low + i;
    int64_t below, above;
    sides_of(h, i, &below, &above);
    if (above <= h->end)
      *low = fmax(*low, edge - scale * (double)(above - h->center));
    if (below >= h->begin)
      *high = fmin(*high, edge - scale * (double)(below - h->center));
  }
  if (*low == -DBL_MAX && *high == DBL_MAX) *low = *high = 0;
  if (*low == -DBL_MAX) *low = *high - 1;
  if (*high == DBL_MAX) *high = *low + 1;
}

static float neighbour(float x, int32_t steps_away) {
  int32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits += steps_away;
  memcpy(&x, &bits, sizeof bits);
  return x;
}

static int find_line(const half_line* h, float exact, float* scale,
                     float* offset) {
  int i, k;
  for (i = 0; i < FT_SCALE_TRIES; ++i) {
    double low, high;
    *scale = neighbour(exact, i % 2 ? (i + 1) / 2 : -(i / 2));
    offset_range(h, (double)*scale, &low, &high);
    for (k = 1; low <= high && k <= FT_OFFSET_TRIES; ++k) {
      *offset = (float)(low + (high - low) * k / (FT_OFFSET_TRIES + 1));
      if (is_right(h, *scale, *offset)) return 1;
    }
  }
  return 0;
}

/* No sum leaves int32, alone or without the center, and no result comes near
 * its end. */
static int is_small(const ft_requant* r, double scale, int64_t center) {
  const double least = (double)(r->least - center);
  const double most = (double)(r->most - center);
  return r->least > INT32_MIN && r->most < INT32_MAX && r->least <= r->most &&
         least > INT32_MIN && most < INT32_MAX &&
         scale * fmax(fabs(least), fabs(most)) < (1 << 29);
}

static int64_t center_of(const ft_requant* r, double scale) {
  const double center = -r->zero_point / scale;
  return fabs(center) < (1 << 30) ? (int64_t)center : 0;
}

int32_t ft_requant_line_at(const ft_requant_lines* lines, int32_t x) {
  const int above = x > lines->split;
  return floor_of_line(x, lines->scale[above], lines->offset[above]);
}

/* Line `i` of a layer of which `middle` is the last level that the lower one
 * has to reach. */
static int find_half(const ft_requant* r, const steps* s, int i, int32_t middle,
                     int64_t split, double scale, ft_requant_lines* lines) {
  half_line h;
  h.r = r;
  h.s = s;
  h.center = lines->center;
  h.begin = i ? split + 1 : r->least;
  h.end = i || split > r->most ? r->most : split;
  h.first = i && middle > 0 ? middle : 1;
  h.last = i || middle == s->levels ? s->levels : middle + 1;
  return find_line(&h, (float)scale, &lines->scale[i], &lines->offset[i]);
}

int ft_find_requant_lines(const ft_requant* r, ft_requant_lines* lines) {
  const double scale = ldexp((double)r->multiplier, r->shift - 31);
  const int64_t center = scale > 0 ? center_of(r, scale) : 0;
  /* Halves are rounded away from zero: no line is right on both sides of it. */
  const int is_relu = r->q_low >= r->zero_point;
  const int32_t middle =
      is_relu ? (r->q_high - r->q_low) / 2 : r->zero_point - r->q_low;
  steps s;
  int64_t split;
  if (r->shift > 0 || !(scale > 0) || r->q_high - r->q_low >= FT_MAX_LEVELS ||
      middle < 0 || middle > r->q_high - r->q_low ||
      !is_small(r, scale, center) || !find_steps(r, scale, &s))
    return 0;
  lines->center = (int32_t)center;
  lines->split = 0;
  if (is_relu && find_half(r, &s, 0, s.levels, r->most, scale, lines)) {
    lines->scale[1] = lines->scale[0];
    lines->offset[1] = lines->offset[0];
    return 1;
  }
  /* Below the first sum of the level above `middle`. */
  split = s.at[middle + 1] - 1 - (s.at[middle + 1] - s.at[middle]) / 2;
  lines->split = (int32_t)(split - center);
  return find_half(r, &s, 0, middle, split, scale, lines) &&
         find_half(r, &s, 1, middle, split, scale, lines);
}
