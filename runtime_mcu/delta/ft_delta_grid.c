/* Integers of 4 and 8 bits, which a quantizer made: each is told by halving
 * what it may be, with the chances of a logistic distribution around what is
 * expected here. Nothing has to be learned but the distribution's mean and
 * width, which pays where an adapter has few thousand values.
 *
 * - The mean is the precursor's integer times its group's factor. Where groups
 *   alternate (the columns of a low-rank factor) the errors of the row's
 *   earlier columns say something of the later ones': each error that is left
 *   is made independent of those before (Gram-Schmidt, one value at a time).
 * - The width is the mean error of the group, at first of all groups before.
 * - A quantizer gives the largest value of each group the largest integer. As
 *   long as a group had none, one is the more likely the fewer values are left.
 */
#include "ft_delta_model.h"

/* Means and errors are in 16ths of a step, their means in 128ths; factors and
 * links in 4096ths; squares in 64ths. */
enum {
  kUnit = 16,
  kOne = 4096,
  kSquaresAtFirst = 16000 / 64,
  kPowerAtFirst = 1024 / 64,
  kSpreadAtFirst = 16 * 128,
  kLeastSpread = 24,
  kTrust = 5 /* of the first spread: as of so many values */
};

/* Chances in 2^22ths and what no integer's falls below. */
enum {
  kFarthest = 24 << 7,
  kWhole = 1 << 22,
  kFloor = 16,
  kExtremeElsewhere = 2600
};

/* The logistic distribution beyond halves of its scale. */
static const uint32_t kTail[25] = {
    2097152, 1583520, 1128022, 765148, 499973, 318172, 198919, 122944, 75440,
    46083,   28072,   17071,   10371,  6296,   3821,   2319,   1407,   853,
    518,     314,     190,     115,    70,     42,     26};
/* 256ths of a scale that a step is, times 4096, over the mean error in 128ths:
 * 256 * 4096 * 128 * 2 ln 2 / 16. */
static const uint32_t kSteepness = 11629760u;

static int32_t divided(int32_t value, int32_t by) {
  return (value + (value < 0 ? -by : by) / 2) / by;
}

static int32_t within(int32_t value, int32_t least, int32_t most) {
  return value < least ? least : value > most ? most : value;
}

static uint16_t added(uint16_t sum, int32_t more) {
  const int32_t next = sum + more;
  return (uint16_t)(next > 65535 ? 65535 : next);
}

void ft_delta_start_grid(ft_delta_model *model) {
  ft_delta_grid *g = &model->of.grid;
  if (model->typical == 0) model->typical = kSpreadAtFirst;
  for (uint32_t i = 0; i < FT_DELTA_MAX_GROUPS; ++i) {
    g->factor[i] = kOne;
    g->squares[i] = kSquaresAtFirst;
  }
  for (uint32_t i = 0; i < FT_DELTA_LINKED; ++i) {
    g->power[i] = kPowerAtFirst;
    g->error[i] = 0;
  }
  for (uint32_t i = 0; i < FT_DELTA_LINKS; ++i) g->link[i] = 0;
  g->met = 0;
  g->rounds = 0;
}

static int is_linked(const ft_delta_segment *s) {
  return s->row == 1 && s->groups <= FT_DELTA_LINKED;
}

static int32_t half_of(const ft_delta_model *model) {
  return model->segment.kind == FT_DELTA_I4 ? 8 : 128;
}

/* Elements of this group so far. */
static uint32_t seen(const ft_delta_model *model) {
  return model->of.grid.rounds * model->segment.row + model->in_row;
}

/* Elements of this group after this one. */
static uint32_t still_to_come(const ft_delta_model *model) {
  const ft_delta_segment *s = &model->segment;
  const uint32_t each = s->count / s->groups * (s->kind == FT_DELTA_I4 ? 2 : 1);
  const uint32_t with_this = seen(model) + 1;
  return each > with_this ? each - with_this : 0;
}

/* What there is to know before an element. */
static FT_DELTA_APART void expect(ft_delta_model *model, uint32_t old_bits) {
  ft_delta_grid *g = &model->of.grid;
  const uint32_t at = model->group;
  const int32_t half = half_of(model);
  const int32_t old = (int32_t)(old_bits ^ (uint32_t)half) - half;
  int32_t mean = divided(old * g->factor[at], kOne / kUnit);
  if (is_linked(&model->segment))
    for (uint32_t i = 0; i < at; ++i)
      mean += divided(g->link[at * (at - 1) / 2 + i] * g->error[i], kOne);
  if (seen(model) == 0) g->spread[at] = model->typical;
  g->old = (int16_t)old;
  g->mean = (int16_t)within(mean, -half * kUnit, half * kUnit);
  g->steepness =
      kSteepness / (uint32_t)within(g->spread[at], kLeastSpread, 65535);
}

/* The chance of all integers below `value`, and a floor for each. */
static FT_DELTA_APART uint32_t below(const ft_delta_grid *g, int32_t value) {
  const int32_t from_mean = value * kUnit - kUnit / 2 - g->mean;
  const uint32_t size = (uint32_t)(from_mean < 0 ? -from_mean : from_mean);
  /* The product must not overflow; where it would it is far outside. */
  const uint32_t far = size > 1023 && g->steepness > 1u << 18
                           ? kFarthest
                           : size * g->steepness >> 12;
  const uint32_t i = far >> 7;
  uint32_t tail = kTail[24];
  if (i < 24) tail = kTail[i] - ((kTail[i] - kTail[i + 1]) * (far & 127u) >> 7);
  return (from_mean < 0 ? tail : (uint32_t)kWhole - tail) +
         (uint32_t)(value + 128) * kFloor;
}

/* A decision whose 0 has the chance part / whole. */
static FT_DELTA_APART uint32_t choose(ft_delta_coder *coder, uint32_t part,
                                      uint32_t whole, uint32_t bit) {
  uint32_t chance;
  uint16_t state;
  while (whole < 1u << 19) {
    whole <<= 1;
    part <<= 1;
  }
  chance = part / (whole >> 12);
  if (chance < 16) chance = 16;
  if (chance > 4096 - 16) chance = 4096 - 16;
  state = (uint16_t)(chance << 4 | 15u);
  return coder->bit(coder, &state, bit);
}

/* Where to divide what it may be: at the mean, then away from it by what an
 * error is likely to be, then twice as far each time, then by halves. So most
 * decisions are near even, and there are few: never more than 17. */
static FT_DELTA_APART int32_t divide(const ft_delta_model *model) {
  const ft_delta_grid *g = &model->of.grid;
  const int32_t low = g->low, high = g->high;
  const int32_t mean = (g->mean + kUnit * 128 + kUnit / 2) / kUnit - 128;
  int32_t step = g->spread[model->group] / 128 + 1;
  if (low < mean && mean < high) return mean;
  if (low - mean > step) step = low - mean;
  if (mean - high > step) step = mean - high;
  if (high - low <= 2 * step) return low + (high - low) / 2;
  return low >= mean ? low + step : high - step;
}

static FT_DELTA_APART void start_between(ft_delta_grid *g, int32_t low,
                                         int32_t high) {
  g->low = (int16_t)low;
  g->high = (int16_t)high;
  g->at_low = below(g, low);
  g->at_high = below(g, high);
}

static FT_DELTA_APART void code_between(ft_delta_model *model,
                                        ft_delta_coder *coder, int32_t target) {
  ft_delta_grid *g = &model->of.grid;
  while (g->high - g->low > 1) {
    const int32_t middle = divide(model);
    const uint32_t at_middle = below(g, middle);
    if (choose(coder, at_middle - g->at_low, g->at_high - g->at_low,
               target >= middle)) {
      g->low = (int16_t)middle;
      g->at_low = at_middle;
    } else {
      g->high = (int16_t)middle;
      g->at_high = at_middle;
    }
  }
}

/* Chances of the smallest two integers and the largest: at_low, and of both
 * at_high. Returns that of one of them later in the group. */
static FT_DELTA_APART uint32_t weigh_extremes(ft_delta_model *model,
                                              int32_t half) {
  ft_delta_grid *g = &model->of.grid;
  const uint32_t none = below(g, -half), all = below(g, half) - none;
  const uint32_t later = still_to_come(model);
  const uint32_t others = (later < 1024 ? later : 1024) * kExtremeElsewhere;
  g->at_low = below(g, 2 - half) - none;
  g->at_high = g->at_low + below(g, half) - below(g, half - 1);
  return others < all - g->at_high ? others : all - g->at_high;
}

/* Whether it is one of those; then g->low is it. */
static FT_DELTA_APART uint32_t code_extreme(ft_delta_model *model,
                                            ft_delta_coder *coder,
                                            int32_t target) {
  ft_delta_grid *g = &model->of.grid;
  const int32_t half = half_of(model);
  const uint32_t others = weigh_extremes(model, half);
  if (!choose(coder, others, others + g->at_high,
              target < 2 - half || target >= half - 1)) {
    if (others == 0) model->no_extremes = 1;
    return 0;
  }
  g->met |= (uint16_t)(1u << model->group);
  g->low = (int16_t)(half - 1);
  if (!choose(coder, g->at_low, g->at_high, target > 0))
    g->low =
        (int16_t)(1 - half -
                  (int32_t)coder->bit(coder, &model->of_header[FT_DELTA_BEYOND],
                                      target == -half));
  return 1;
}

static void learn_width(ft_delta_model *model, int32_t error) {
  uint16_t *spread = &model->of.grid.spread[model->group];
  const uint32_t before = seen(model);
  const int32_t weight = kTrust + (int32_t)(before < 255 ? before : 255);
  int32_t size = (error < 0 ? -error : error) * (128 / kUnit);
  *spread = (uint16_t)(*spread + divided(size - *spread, weight));
  if (size > 4 * model->typical) size = 4 * model->typical;
  model->typical = (uint16_t)within(
      model->typical + divided(size - model->typical, 32), kLeastSpread, 32767);
}

/* Least squares, one integer after the other; `scale` makes as if they had 8
 * bits. */
static void learn_mean(ft_delta_model *model, int32_t error, int32_t scale) {
  ft_delta_grid *g = &model->of.grid;
  const uint32_t at = model->group;
  uint16_t *squares = &g->squares[at];
  const int32_t x = g->old * scale, e = error * scale;
  *squares = added(*squares, x * x / 64);
  g->factor[at] = (uint16_t)within(g->factor[at] + divided(x * e * 4, *squares),
                                   kOne / 4, 4 * kOne);
  if (!is_linked(&model->segment)) return;
  for (uint32_t i = 0; i < at; ++i) {
    int16_t *link = &g->link[at * (at - 1) / 2 + i];
    *link = (int16_t)within(
        *link + divided(g->error[i] * scale * e, 4 * g->power[i]), -4 * kOne,
        4 * kOne);
  }
  g->error[at] = (int16_t)error;
  g->power[at] = added(g->power[at], e * e / (64 * kUnit * kUnit));
}

static FT_DELTA_APART void learn(ft_delta_model *model) {
  const int32_t error = model->of.grid.low * kUnit - model->of.grid.mean;
  learn_width(model, error);
  learn_mean(model, error, 128 / half_of(model));
}

uint32_t ft_delta_code_grid(ft_delta_model *model, ft_delta_coder *coder,
                            uint32_t old_bits, uint32_t target) {
  ft_delta_grid *g = &model->of.grid;
  const int32_t half = half_of(model);
  const int32_t wanted = (int32_t)(target ^ (uint32_t)half) - half;
  const int any = model->no_extremes || ((uint32_t)g->met >> model->group & 1u);
  expect(model, old_bits);
  if (any || !code_extreme(model, coder, wanted)) {
    start_between(g, any ? -half : 2 - half, any ? half : half - 1);
    code_between(model, coder, wanted);
  }
  learn(model);
  return (uint32_t)g->low & (2u * (uint32_t)half - 1u);
}
