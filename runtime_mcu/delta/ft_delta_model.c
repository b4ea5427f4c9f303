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
  fill(model->of_header, 4);
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

static int is_integer(uint32_t kind) {
  return kind >= FT_DELTA_I4 && kind <= FT_DELTA_I32;
}

uint32_t ft_delta_element_bytes(uint32_t kind) {
  static const uint8_t kBytes[FT_DELTA_KINDS] = {1, 1, 1, 1, 1, 2, 4,
                                                 2, 2, 4, 2, 2, 4};
  return kBytes[kind];
}

int ft_delta_may_shift(const ft_delta_segment *s) {
  return s->kind >= FT_DELTA_F16 && s->kind <= FT_DELTA_F32 &&
         s->shift + 2u <= 8u * ft_delta_element_bytes(s->kind);
}

static void code_groups(ft_delta_model *model, ft_delta_coder *coder,
                        ft_delta_segment *s) {
  const ft_delta_segment *before = &model->segment;
  if (!code_bit(coder, &model->of_header[1],
                s->row != before->row || s->groups != before->groups)) {
    s->row = before->row;
    s->groups = before->groups;
    return;
  }
  s->groups = (uint8_t)(1u + coder->direct(coder, s->groups - 1u, 4));
  s->row = code_number(coder, s->row);
}

static void start_segment(ft_delta_model *model, const ft_delta_segment *s) {
  const uint8_t learned = s->kind == FT_DELTA_TEXT ? 1 : 2;
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
  if (learned == 1) return;
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
  const uint32_t changes =
      code_bit(coder, &model->of_header[0], s.kind != before->kind);
  s.kind = changes ? (uint8_t)coder->direct(coder, s.kind, 4) : before->kind;
  s.count = code_number(coder, s.count);
  s.has_old = (uint8_t)code_bit(coder, &model->of_header[2], s.has_old);
  if (s.has_old && code_bit(coder, &model->of_header[3], s.old_offset != next))
    s.old_offset = code_number(coder, s.old_offset);
  else
    s.old_offset = next;
  if (!has_width(s.kind)) {
    s.shift = 0;
    s.start = 0;
    s.row = before->row;
    s.groups = before->groups;
  } else {
    s.shift = (uint8_t)coder->direct(coder, s.shift, 5);
    s.start = (uint16_t)(code_number(coder, s.start) & 1023u);
    code_groups(model, coder, &s);
  }
  start_segment(model, &s);
}

/* The upper bit of a literal, then the lower seven as a walk down a tree. */
static uint8_t code_literal(ft_delta_model *model, ft_delta_coder *coder,
                            uint8_t byte) {
  uint16_t *tree = model->of.text.literal;
  const uint32_t high = code_bit(coder, &model->of.text.high, byte >> 7);
  uint32_t node = 1;
  for (int i = 6; i >= 0; --i)
    node = node << 1 | code_bit(coder, &tree[node], byte >> i & 1u);
  return (uint8_t)(high << 7 | (node & 127u));
}

ft_delta_text ft_delta_code_text(ft_delta_model *model, ft_delta_coder *coder,
                                 ft_delta_text text) {
  const uint32_t run = model->text_run;
  ft_delta_text out = {FT_DELTA_SAME, text.byte, 0};
  if (code_bit(coder, &model->of.text.run[run], text.op != FT_DELTA_SAME)) {
    model->text_run = 0;
    out.op = FT_DELTA_SUBSTITUTE;
    if (code_bit(coder, &model->of.text.op[0], text.op != FT_DELTA_SUBSTITUTE))
      out.op = code_bit(coder, &model->of.text.op[1], text.op == FT_DELTA_MOVE)
                   ? FT_DELTA_MOVE
                   : FT_DELTA_INSERT;
    if (out.op == FT_DELTA_MOVE) {
      out.distance = code_signed(coder, text.distance);
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
  if (++model->group == s->groups) model->group = 0;
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

/* The precursor's integer times the factor of its group. */
static uint32_t scaled(const ft_delta_model *model, uint32_t bits,
                       uint32_t width) {
  const int32_t value = signed_of(bits, width);
  const int32_t factor = model->of.number.factor[model->group];
  if (width > 16) return bits;
  return (uint32_t)divided(value * factor, kOne);
}

/* Least squares, one integer after the other, as if they had 8 bits. */
static void learn_factor(ft_delta_model *model, uint32_t old_bits,
                         uint32_t error, uint32_t width) {
  uint16_t *factor = &model->of.number.factor[model->group];
  uint16_t *squares = &model->of.number.squares[model->group];
  int32_t x = signed_of(old_bits, width), e = signed_of(error, width), next;
  if (width > 16) return;
  x = width < 8 ? x * (1 << (8 - width)) : x / (1 << (width - 8));
  e = width < 8 ? e * (1 << (8 - width)) : e / (1 << (width - 8));
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

uint32_t ft_delta_code_element(ft_delta_model *model, ft_delta_coder *coder,
                               uint32_t old_bits, uint32_t target) {
  static const uint8_t kWidth[FT_DELTA_KINDS] = {8,  8,  8,  4,  8,  16, 32,
                                                 16, 16, 32, 16, 16, 32};
  const ft_delta_segment *s = &model->segment;
  const uint32_t width = kWidth[s->kind] - s->shift;
  uint32_t coded;
  if (s->kind >= FT_DELTA_STEPS_F16)
    coded = code_steps(model, coder, old_bits, target);
  else if (is_integer(s->kind))
    coded = code_integer(model, coder, old_bits >> s->shift, target >> s->shift,
                         width)
            << s->shift;
  else
    coded = code_float(model, coder, old_bits >> s->shift, target >> s->shift,
                       width)
            << s->shift;
  next_element(model);
  return coded;
}
