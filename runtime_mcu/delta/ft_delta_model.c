#include "ft_delta_model.h"

#include <string.h>

#include "base/half.h"

enum { kHalf = 2048 << 4, kLeast = 16, kNumberBits = 5 };
enum { kOne = 4096, kSquaresAtFirst = 8000 / 64 };

/* 65536 / (n + 1.5), and slower at the end. */
static const uint16_t kRate[16] = {43690, 26214, 18724, 14563, 11915, 10082,
                                   8738,  7710,  6898,  6241,  5461,  4681,
                                   3855,  3276,  2730,  2340};

void ft_delta_learn(uint16_t *state, uint32_t bit) {
  const uint32_t n = *state & 15u;
  const int32_t p = (int32_t)(*state >> 4);
  const int32_t target = bit ? kLeast : 4096 - kLeast;
  const int32_t next = p + (target - p) * (int32_t)kRate[n] / 65536;
  *state = (uint16_t)((uint32_t)next << 4 | (n < 15 ? n + 1 : n));
}

static void fill(uint16_t *states, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) states[i] = kHalf;
}

void ft_delta_model_init(ft_delta_model *model) {
  memset(model, 0, sizeof *model);
  model->segment.row = model->segment.groups = 1;
  fill(model->of_header, FT_DELTA_HEADER_STATES);
}

static uint32_t code_bit(ft_delta_coder *coder, uint16_t *state, uint32_t bit) {
  return coder->bit(coder, state, bit);
}

static uint32_t bit_length(uint32_t value) {
  uint32_t length = 0;
  for (; value != 0; value >>= 1) ++length;
  return length;
}

/* Below 2^31: its length, then its bits. */
static uint32_t code_number(ft_delta_coder *coder, uint32_t value) {
  const uint32_t length = coder->direct(coder, bit_length(value), kNumberBits);
  if (length < 2) return length;
  return 1u << (length - 1) | coder->direct(coder, value, length - 1);
}

static int32_t code_signed(ft_delta_coder *coder, int32_t value) {
  const uint32_t folded =
      value < 0 ? 2u * (uint32_t) - (value + 1) + 1u : 2u * (uint32_t)value;
  const uint32_t coded = code_number(coder, folded);
  return coded & 1u ? -(int32_t)(coded >> 1) - 1 : (int32_t)(coded >> 1);
}

static int has_width(uint32_t kind) { return kind >= FT_DELTA_I4; }

static int is_grid(uint32_t kind) {
  return kind == FT_DELTA_I4 || kind == FT_DELTA_I8;
}

static int is_integer(uint32_t kind) {
  return kind == FT_DELTA_I16 || kind == FT_DELTA_I32;
}

static int is_float(uint32_t kind) {
  return kind >= FT_DELTA_F16 && kind <= FT_DELTA_F32;
}

uint32_t ft_delta_element_bytes(uint32_t kind) {
  static const uint8_t kBytes[FT_DELTA_KINDS] = {1, 1, 1, 1, 1, 2, 4,
                                                 2, 2, 4, 2, 2, 4};
  return kBytes[kind];
}

int ft_delta_may_shift(const ft_delta_segment *s) {
  return is_float(s->kind) &&
         s->shift + 2u <= 8u * ft_delta_element_bytes(s->kind);
}

/* Count, row and groups of a segment that is not a remembered one. */
static void code_new_shape(ft_delta_model *model, ft_delta_coder *coder,
                           ft_delta_segment *s) {
  const uint32_t whole = s->count << (s->kind == FT_DELTA_I4);
  s->count = code_number(coder, s->count);
  if (!code_bit(coder, &model->of_header[FT_DELTA_OTHER_GROUPS],
                s->groups != 1 || s->row != whole)) {
    s->groups = 1;
    s->row = s->count << (s->kind == FT_DELTA_I4);
    return;
  }
  s->groups = (uint8_t)(1u + coder->direct(coder, s->groups - 1u, 4));
  s->row = code_number(coder, s->row);
}

static uint32_t known_shape(const ft_delta_model *model,
                            const ft_delta_segment *s) {
  uint32_t i = 0;
  for (; i < FT_DELTA_SHAPES; ++i)
    if (model->shape[i].count == s->count && model->shape[i].row == s->row &&
        model->shape[i].groups == s->groups)
      break;
  return i;
}

/* The last first; what is too large for them forgets nothing. */
static void remember(ft_delta_model *model, const ft_delta_segment *s,
                     uint32_t at) {
  ft_delta_shape shape;
  if (s->count > 65535 || s->row > 65535) return;
  shape.count = (uint16_t)s->count;
  shape.row = (uint16_t)s->row;
  shape.groups = s->groups;
  if (at == FT_DELTA_SHAPES) --at;
  for (; at > 0; --at) model->shape[at] = model->shape[at - 1];
  model->shape[0] = shape;
}

static FT_DELTA_APART void code_shape(ft_delta_model *model,
                                      ft_delta_coder *coder,
                                      ft_delta_segment *s) {
  uint16_t *states = model->of_header;
  uint32_t at = known_shape(model, s);
  if (code_bit(coder, &states[FT_DELTA_KNOWN_SHAPE], at == FT_DELTA_SHAPES)) {
    code_new_shape(model, coder, s);
    remember(model, s, FT_DELTA_SHAPES);
    return;
  }
  states += FT_DELTA_SHAPE;
  at = code_bit(coder, states, at >> 1) << 1 | (at & 1u);
  at = (at & 2u) | code_bit(coder, &states[1 + (at >> 1)], at & 1u);
  s->count = model->shape[at].count;
  s->row = model->shape[at].row;
  s->groups = model->shape[at].groups;
  remember(model, s, at);
}

/* A state with a chance of 0 that is as if it had been met `times` times. */
static uint16_t state_of(uint32_t chance, uint32_t times) {
  return (uint16_t)(chance << 4 | times);
}

/* Most of a header is the precursor's; what is not is digits and letters. */
static void start_text(ft_delta_model *model) {
  uint16_t *middle = model->of.text.middle;
  for (uint32_t i = 0; i < FT_DELTA_RUNS; ++i)
    model->of.text.run[i] = state_of(3900, 3);
  model->of.text.high = state_of(3900, 3);
  middle[2] = state_of(400, 2);
  middle[3] = state_of(600, 2);
  middle[5] = state_of(1000, 2);
}

static void start_segment(ft_delta_model *model, const ft_delta_segment *s) {
  const uint8_t learned = s->kind == FT_DELTA_TEXT ? 1
                          : is_grid(s->kind)       ? 3
                                                   : 2;
  const uint16_t start = (uint16_t)(s->start * 8u);
  model->segment = *s;
  model->left = s->count;
  model->in_row = 0;
  model->group = model->in_block = 0;
  model->last_sign = model->text_run = 0;
  if (s->kind == FT_DELTA_RAW || s->kind == FT_DELTA_COPY) return;
  if (model->learned != learned)
    fill((uint16_t *)&model->of, sizeof model->of / sizeof(uint16_t));
  model->learned = learned;
  if (learned == 1) start_text(model);
  if (learned == 3) ft_delta_start_grid(model);
  if (learned != 2) return;
  model->expected = start;
  for (uint32_t g = 0; g < FT_DELTA_MAX_GROUPS; ++g) {
    model->of.number.factor[g] = kOne;
    model->of.number.squares[g] = kSquaresAtFirst;
  }
}

static uint32_t end_in_old(const ft_delta_segment *s) {
  if (!s->has_old) return s->old_offset;
  return s->old_offset + s->count * ft_delta_element_bytes(s->kind);
}

void ft_delta_code_segment(ft_delta_model *model, ft_delta_coder *coder,
                           const ft_delta_segment *segment) {
  const ft_delta_segment *before = &model->segment;
  const uint32_t next = end_in_old(before);
  ft_delta_segment s = *segment;
  uint16_t *states = model->of_header;
  const uint32_t changes =
      code_bit(coder, &states[FT_DELTA_OTHER_KIND], s.kind != before->kind);
  s.kind = changes ? (uint8_t)coder->direct(coder, s.kind, 4) : before->kind;
  s.has_old = (uint8_t)code_bit(coder, &states[FT_DELTA_HAS_OLD], s.has_old);
  if (s.has_old &&
      code_bit(coder, &states[FT_DELTA_OTHER_PLACE], s.old_offset != next))
    s.old_offset = code_number(coder, s.old_offset);
  else
    s.old_offset = next;
  if (has_width(s.kind)) {
    code_shape(model, coder, &s);
  } else {
    s.count = code_number(coder, s.count);
    s.row = s.groups = 1;
  }
  s.shift = is_float(s.kind) ? (uint8_t)coder->direct(coder, s.shift, 5) : 0;
  s.start = 0;
  if (has_width(s.kind) && !is_grid(s.kind))
    s.start = (uint16_t)(code_number(coder, segment->start) & 1023u);
  start_segment(model, &s);
}

/* `count` bits as a walk down a tree. */
static uint32_t code_tree(ft_delta_coder *coder, uint16_t *tree, uint32_t count,
                          uint32_t value) {
  uint32_t node = 1;
  while (count-- > 0)
    node = node << 1 | code_bit(coder, &tree[node], value >> count & 1u);
  return node;
}

/* The low half is learned of what headers are full of: marks, digits and small
 * letters. */
static FT_DELTA_APART uint8_t code_literal(ft_delta_model *model,
                                           ft_delta_coder *coder,
                                           uint8_t byte) {
  static const uint8_t kTree[8] = {4, 4, 0, 1, 4, 4, 2, 3};
  const uint32_t high = code_bit(coder, &model->of.text.high, byte >> 7) << 7;
  const uint32_t middle =
      code_tree(coder, model->of.text.middle, 3, byte >> 4 & 7u) & 7u;
  uint32_t low;
  if (high == 0 && kTree[middle] < 4)
    low = code_tree(coder, model->of.text.low[kTree[middle]], 4, byte & 15u);
  else
    low = coder->direct(coder, byte, 4);
  return (uint8_t)(high | middle << 4 | (low & 15u));
}

ft_delta_text ft_delta_code_text(ft_delta_model *model, ft_delta_coder *coder,
                                 ft_delta_text text) {
  const uint32_t run = model->text_run;
  ft_delta_text out = {FT_DELTA_SAME, text.byte, 0};
  if (code_bit(coder, &model->of.text.run[run], text.op != FT_DELTA_SAME)) {
    model->text_run = 0;
    out.op = FT_DELTA_SUBSTITUTE;
    if (code_bit(coder, &model->of.text.op[0], text.op != FT_DELTA_SUBSTITUTE))
      out.op = code_bit(coder, &model->of.text.op[1], text.op >= FT_DELTA_MOVE)
                   ? FT_DELTA_MOVE
                   : FT_DELTA_INSERT;
    if (out.op == FT_DELTA_MOVE) {
      out.distance = code_signed(coder, text.distance);
      if (out.distance == 0)
        out.op = coder->direct(coder, text.op == FT_DELTA_PARENT, 1)
                     ? FT_DELTA_PARENT
                     : FT_DELTA_DIGEST;
      return out;
    }
    out.byte = code_literal(model, coder, text.byte);
  } else if (run + 1 < FT_DELTA_RUNS) {
    ++model->text_run;
  }
  --model->left;
  return out;
}

/* A magnitude's class k (its length in bits) near the one that is expected:
 * from `base` on up, one decision each; seldom below. */
static uint32_t code_class(ft_delta_model *model, ft_delta_coder *coder,
                           uint32_t expected, uint32_t k, uint32_t most) {
  const uint32_t c = expected >> 4;
  const uint32_t base = c <= 4 ? 0 : (c - 3 < most ? c - 3 : most);
  uint16_t *set = model->of.number.level[c <= 4 ? c : 5];
  uint32_t at = base;
  if (base > 0 && code_bit(coder, &set[0], k < base)) {
    for (at = base - 1; at > 0; --at) {
      const uint32_t j = base - 1 - at;
      if (!code_bit(coder, &model->of.number.down[j < 7 ? j : 7], k < at))
        break;
    }
    return at;
  }
  for (; at < most; ++at) {
    const uint32_t j = at - base + 1;
    const uint32_t node = j < FT_DELTA_NODES - 1 ? j : FT_DELTA_NODES - 1;
    if (!code_bit(coder, &set[node], k > at)) break;
  }
  return at;
}

/* The bits below the leading one: the first is learned, the others are noise.
 */
static uint32_t code_below(ft_delta_model *model, ft_delta_coder *coder,
                           uint32_t k, uint32_t magnitude) {
  uint16_t *top = &model->of.number.top[k < 9 ? k : 8];
  uint32_t coded;
  if (k < 2) return k;
  coded = 2 | code_bit(coder, top, magnitude >> (k - 2) & 1u);
  if (k == 2) return coded;
  return coded << (k - 2) | coder->direct(coder, magnitude, k - 2);
}

static void next_element(ft_delta_model *model) {
  const ft_delta_segment *s = &model->segment;
  if (++model->in_row < s->row) return;
  model->in_row = 0;
  if (++model->group < s->groups) return;
  model->group = 0;
  if (is_grid(s->kind)) ++model->of.grid.rounds;
}

/* The mean of magnitudes follows a new one; of those far off not far. */
static void expect(ft_delta_model *model, int32_t magnitude) {
  int32_t step = magnitude - (int32_t)model->expected;
  if (step > 64) step = 64;
  if (step < -64) step = -64;
  model->expected = (uint16_t)((int32_t)model->expected + step / 32);
}

/* A difference of `width` bits, two's complement. `exponent` of a float says
 * how many times a unit in the last place has doubled. */
static uint32_t code_difference(ft_delta_model *model, ft_delta_coder *coder,
                                uint32_t difference, uint32_t width,
                                uint32_t exponent, uint32_t old_sign) {
  const uint32_t mask = 0xffffffffu >> (32 - width);
  const uint32_t minus = difference >> (width - 1) & 1u;
  const uint32_t magnitude = (minus ? 0u - difference : difference) & mask;
  const int32_t e16 = (int32_t)exponent * 16;
  const int32_t here = (int32_t)model->expected - e16;
  const uint32_t k = code_class(model, coder, here > 0 ? (uint32_t)here : 0,
                                bit_length(magnitude), width);
  const uint32_t coded = code_below(model, coder, k, magnitude);
  uint32_t sign = 0;
  expect(model, (int32_t)(16u * k) + e16 +
                    (k >= 2 && (coded >> (k - 2) & 1u) ? 8 : 0));
  if (k != 0) {
    sign = code_bit(coder, &model->of.number.sign[model->last_sign][old_sign],
                    minus);
    model->last_sign = (uint8_t)(2 - sign);
  }
  return (sign ? 0u - coded : coded) & mask;
}

/* Floats in the order of their values are integers in the order of these. */
static uint32_t ordered(uint32_t bits, uint32_t width) {
  const uint32_t top = 1u << (width - 1);
  return bits & top ? bits ^ (top - 1) : bits;
}

static uint32_t exponent_of(uint32_t kind, uint32_t bits) {
  switch (kind) {
    case FT_DELTA_F16: return bits >> 10 & 31u;
    case FT_DELTA_BF16: return bits >> 7 & 255u;
    case FT_DELTA_F32: return bits >> 23 & 255u;
    default: return 0;
  }
}

/* A signed number of `width` bits. */
static int32_t signed_of(uint32_t bits, uint32_t width) {
  const uint32_t top = 1u << (width - 1);
  return (int32_t)((bits ^ top) - top);
}

static int32_t divided(int32_t value, int32_t by) {
  return (value + (value < 0 ? -by : by) / 2) / by;
}

/* The precursor's integer of 16 bits times the factor of its group. */
static uint32_t scaled(const ft_delta_model *model, uint32_t bits,
                       uint32_t width) {
  const int32_t value = signed_of(bits, width);
  const int32_t factor = model->of.number.factor[model->group];
  if (width > 16) return bits;
  return (uint32_t)divided(value * factor, kOne);
}

/* Least squares, one integer of 16 bits after the other, as if they had 8. */
static void learn_factor(ft_delta_model *model, uint32_t old_bits,
                         uint32_t error, uint32_t width) {
  uint16_t *factor = &model->of.number.factor[model->group];
  uint16_t *squares = &model->of.number.squares[model->group];
  int32_t x = signed_of(old_bits, width), e = signed_of(error, width), next;
  if (width > 16) return;
  x /= 256;
  e /= 256;
  next = *factor + divided(x * e * (kOne / 64), *squares);
  *factor = (uint16_t)(next < kOne / 4   ? kOne / 4
                       : next > 4 * kOne ? 4 * kOne
                                         : next);
  next = *squares + x * x / 64;
  *squares = (uint16_t)(next > 65535 ? 65535 : next);
}

static uint32_t add_steps(const ft_delta_model *model, uint32_t old_bits,
                          uint32_t steps) {
  const uint32_t kind = model->segment.kind;
  const float step = ft_float_of((uint32_t)(model->step_exponent + 127) << 23);
  /* Exact: a product that is rounded nowhere cannot be contracted. */
  const float change = (float)(int8_t)steps * step;
  if (kind == FT_DELTA_STEPS_F16)
    return ft_half_of_float(ft_half_to_float((uint16_t)old_bits) + change);
  if (kind == FT_DELTA_STEPS_BF16)
    return ft_bfloat16_of_float(ft_bfloat16_to_float((uint16_t)old_bits) +
                                change);
  return ft_bits_of(ft_float_of(old_bits) + change);
}

void ft_delta_code_step(ft_delta_model *model, ft_delta_coder *coder,
                        int32_t exponent) {
  if (model->in_block != 0) return;
  if (code_bit(coder, &model->of.number.same_step,
               exponent != model->step_exponent))
    model->step_exponent =
        (int16_t)((int32_t)coder->direct(coder, (uint32_t)(exponent + 126), 8) -
                  126);
}

static uint32_t code_steps(ft_delta_model *model, ft_delta_coder *coder,
                           uint32_t old_bits, uint32_t steps) {
  const uint32_t sign =
      old_bits >> (model->segment.kind == FT_DELTA_STEPS_F32 ? 31 : 15);
  const uint32_t coded =
      code_difference(model, coder, steps & 255u, 8, 0, 1 + (sign & 1u));
  if (++model->in_block == FT_DELTA_STEPS_BLOCK) model->in_block = 0;
  return add_steps(model, old_bits, coded);
}

static uint32_t code_integer(ft_delta_model *model, ft_delta_coder *coder,
                             uint32_t old_bits, uint32_t target,
                             uint32_t width) {
  const uint32_t mask = 0xffffffffu >> (32 - width);
  const uint32_t base =
      model->segment.has_old ? scaled(model, old_bits, width) : 0;
  const uint32_t sign = old_bits == 0 ? 0 : 1 + (old_bits >> (width - 1) & 1u);
  const uint32_t error =
      code_difference(model, coder, (target - base) & mask, width, 0, sign);
  if (model->segment.has_old) learn_factor(model, old_bits, error, width);
  return (base + error) & mask;
}

static uint32_t code_float(ft_delta_model *model, ft_delta_coder *coder,
                           uint32_t old_bits, uint32_t target, uint32_t width) {
  const ft_delta_segment *s = &model->segment;
  const uint32_t mask = 0xffffffffu >> (32 - width);
  const uint32_t base = ordered(old_bits, width);
  const uint32_t sign = old_bits == 0 ? 0 : 1 + (old_bits >> (width - 1) & 1u);
  const uint32_t error =
      code_difference(model, coder, (ordered(target, width) - base) & mask,
                      width, exponent_of(s->kind, old_bits << s->shift), sign);
  return ordered((base + error) & mask, width);
}

static FT_DELTA_APART uint32_t code_classed(ft_delta_model *model,
                                            ft_delta_coder *coder,
                                            uint32_t old_bits,
                                            uint32_t target) {
  const ft_delta_segment *s = &model->segment;
  const uint32_t width = 8 * ft_delta_element_bytes(s->kind) - s->shift;
  if (s->kind >= FT_DELTA_STEPS_F16)
    return code_steps(model, coder, old_bits, target);
  if (is_integer(s->kind))
    return code_integer(model, coder, old_bits, target, width);
  return code_float(model, coder, old_bits >> s->shift, target >> s->shift,
                    width)
         << s->shift;
}

uint32_t ft_delta_code_element(ft_delta_model *model, ft_delta_coder *coder,
                               uint32_t old_bits, uint32_t target) {
  const uint32_t coded =
      is_grid(model->segment.kind)
          ? ft_delta_code_grid(model, coder, old_bits, target)
          : code_classed(model, coder, old_bits, target);
  next_element(model);
  return coded;
}
