/* Constants of 16 output channels, as the AVX-512 rows of int8 ops read them.
 *
 * Those rows multiply u = x + 128, which is unsigned, so that the sum over
 * (x - zero_point) * w is the sum over u * w minus a constant of the channel;
 * that constant and the bias are where the accumulators start. */
#ifndef FT_KERNELS_QUANT_S8_CHANNELS_H_
#define FT_KERNELS_QUANT_S8_CHANNELS_H_

#include "kernels/quant/requant_lines.h"

enum { FT_S8_PANEL = 16 };

typedef struct {
  int32_t init[FT_S8_PANEL];
  int32_t multiplier[FT_S8_PANEL];
  int32_t half[FT_S8_PANEL]; /* 2^(right - 1), 0 for right 0 */
  int32_t right[FT_S8_PANEL], left[FT_S8_PANEL];
  /* requant_lines.h, for sums with what a side of ft_s8_result adds: where the
   * accumulators start less the center, and the lines. */
  int32_t line_init[FT_S8_PANEL], split[FT_S8_PANEL];
  float scale[2][FT_S8_PANEL], offset[2][FT_S8_PANEL];
  int32_t is_plain;                /* all left 0 and all right in 1 .. 22 */
  int32_t is_line, is_one_line;    /* both lines are the same */
  int32_t unused[FT_S8_PANEL - 3]; /* the next panel is aligned as this one */
} ft_s8_channels;

/* What the lines of a layer's channels share. */
typedef struct {
  int32_t zero_point, q_low, q_high;
  int32_t rounds_once;
  int32_t added; /* the most that a side adds to a sum, or takes from it */
} ft_s8_result;

/* `added` of a side in floats (low_rank.h's ft_round_to_acc). */
#define FT_SIDE_LIMIT(rank) ((rank) > 0 ? 1 << 30 : 0)

/* Channel slots that no channel fills. */
static inline void ft_s8_clear_channels(ft_s8_channels* c) {
  int i;
  for (i = 0; i < FT_S8_PANEL; ++i) {
    c->init[i] = c->multiplier[i] = c->left[i] = 0;
    c->half[i] = c->right[i] = 1;
    c->line_init[i] = c->split[i] = 0;
    c->scale[0][i] = c->scale[1][i] = c->offset[0][i] = c->offset[1][i] = 0;
  }
  c->is_plain = c->is_line = c->is_one_line = 1;
  for (i = 0; i < FT_S8_PANEL - 3; ++i) c->unused[i] = 0;
}

/* Sums of the channel's int8 weights below and above 0. */
typedef struct {
  int32_t negative, positive;
} ft_s8_weight_sums;

static inline void ft_s8_add_weight(ft_s8_weight_sums* sums, int32_t w) {
  *(w < 0 ? &sums->negative : &sums->positive) += w;
}

static inline void ft_s8_set_lines(ft_s8_channels* c, int i,
                                   ft_s8_weight_sums sums,
                                   const ft_s8_result* result) {
  const int64_t init = c->init[i];
  ft_requant r;
  ft_requant_lines lines;
  r.multiplier = c->multiplier[i];
  r.shift = c->left[i] - c->right[i];
  r.rounds_once = result->rounds_once;
  r.zero_point = result->zero_point;
  r.q_low = result->q_low;
  r.q_high = result->q_high;
  r.least = init + 255 * (int64_t)sums.negative - result->added;
  r.most = init + 255 * (int64_t)sums.positive + result->added;
  if (!c->is_line || !ft_find_requant_lines(&r, &lines)) {
    c->is_line = c->is_one_line = 0;
    return;
  }
  if (lines.scale[0] != lines.scale[1] || lines.offset[0] != lines.offset[1])
    c->is_one_line = 0;
  c->line_init[i] = c->init[i] - lines.center;
  c->split[i] = lines.split;
  c->scale[0][i] = lines.scale[0];
  c->scale[1][i] = lines.scale[1];
  c->offset[0][i] = lines.offset[0];
  c->offset[1][i] = lines.offset[1];
}

static inline void ft_s8_set_channel(ft_s8_channels* c, int i, int32_t bias,
                                     ft_s8_weight_sums sums, int32_t zero_point,
                                     int32_t multiplier, int32_t shift,
                                     const ft_s8_result* result) {
  const int32_t weight_sum = sums.negative + sums.positive;
  const int32_t right = shift < 0 ? -shift : 0;
  c->init[i] = (int32_t)((uint32_t)bias -
                         (uint32_t)(zero_point + 128) * (uint32_t)weight_sum);
  c->multiplier[i] = multiplier;
  c->left[i] = shift > 0 ? shift : 0;
  c->right[i] = right;
  c->half[i] = right > 0 ? (int32_t)(1u << (right - 1)) : 0;
  if (shift > 0 || right < 1 || right > 22) c->is_plain = 0;
  ft_s8_set_lines(c, i, sums, result);
}

/* Channel `j` of `from` again, without looking for its lines. */
static inline void ft_s8_repeat_channel(ft_s8_channels* c, int i,
                                        const ft_s8_channels* from, int j) {
  c->init[i] = from->init[j];
  c->multiplier[i] = from->multiplier[j];
  c->half[i] = from->half[j];
  c->right[i] = from->right[j];
  c->left[i] = from->left[j];
  c->line_init[i] = from->line_init[j];
  c->split[i] = from->split[j];
  c->scale[0][i] = from->scale[0][j];
  c->scale[1][i] = from->scale[1][j];
  c->offset[0][i] = from->offset[0][j];
  c->offset[1][i] = from->offset[1][j];
  c->is_plain &= from->is_plain;
  c->is_line &= from->is_line;
  c->is_one_line &= from->is_one_line;
}

#endif /* FT_KERNELS_QUANT_S8_CHANNELS_H_ */
