/* Block floating point: int16 mantissas that share one power-of-two exponent.
 *
 * real = mantissa * 2^exponent * factor, where `exponent` is an int32 in a
 * buffer of its own, known when running, and `factor` is known when compiling
 * (it never reaches a kernel but as a fixed-point multiplier). Everything here
 * is integer arithmetic, exact or rounded half away from zero, so that results
 * do not depend on the order of sums.
 *
 * A tensor's exponent is chosen so that its largest mantissa has 15 bits. The
 * shift that does this is the largest that a row has asked for so far; rows
 * that were written before it was known are computed again. Or it is predicted
 * from the step before (a persistent int32), and holds unless it would saturate
 * or lose more than FT_BFP_SLACK bits. A kernel that writes over what it reads
 * cannot compute rows again: it computes all sums twice, first for their bits.
 * Not for: values that need no product (int8 activations are as deployed). */
#ifndef FT_KERNELS_BFP_H_
#define FT_KERNELS_BFP_H_

#include "kernels/kernel.h"

enum { FT_BFP_BITS = 15, FT_BFP_SLACK = 3, FT_BFP_HEADROOM = 1 };

/* How a call computes its sums: once where that is enough, or twice, first for
 * their bits, which round 0 of a call in parts does. */
enum { FT_BFP_ONCE = 0, FT_BFP_TWICE = 15 };

/* Fills acc[cols] with the exact sums of one output row, |sum| < 2^62. */
typedef void (*ft_bfp_row_fn)(const void* context, int32_t row, int64_t* acc);
/* The same where |sum| < 2^31. */
typedef void (*ft_bfp_row_s32_fn)(const void* context, int32_t row,
                                  int32_t* acc);

/* Bits of v's binary digits; 0 for 0. */
static inline int32_t ft_bit_length(uint64_t v) {
#if defined(__GNUC__)
  return v == 0 ? 0 : 64 - __builtin_clzll(v);
#else
  int32_t bits = 0;
  if (v >> 32) v >>= 32, bits += 32;
  if (v >> 16) v >>= 16, bits += 16;
  if (v >> 8) v >>= 8, bits += 8;
  if (v >> 4) v >>= 4, bits += 4;
  if (v >> 2) v >>= 2, bits += 2;
  return bits + (int32_t)(v >> 1) + (v != 0);
#endif
}

static inline uint64_t ft_magnitude(int64_t v) {
  return v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v;
}

static inline int32_t ft_clamp_exponent(int64_t e) {
  const int32_t limit = 1 << 28;
  return e < -limit ? -limit : (e > limit ? limit : (int32_t)e);
}

/* v / 2^shift, half away from zero; a negative shift multiplies. Saturates at
 * +-2^62, which no caller reaches with sums that it keeps. */
static inline int64_t ft_shift_round(int64_t v, int32_t shift) {
  const uint64_t limit = (uint64_t)1 << 62;
  uint64_t u = ft_magnitude(v);
  if (shift > 0 && shift <= 62 && u <= limit) /* nearly always */
    return (v + ((int64_t)1 << (shift - 1)) - (v < 0)) >> shift;
  if (shift <= 0 && shift > -31 && u < (uint64_t)1 << 31)
    return v * ((int64_t)1 << -shift);
  if (shift > 63) return 0;
  if (shift > 0) u = (u + ((uint64_t)1 << (shift - 1))) >> shift;
  if (shift < 0 && u != 0)
    u = shift < -62 || u > (limit >> -shift) ? limit : u << -shift;
  if (u > limit) u = limit;
  return v < 0 ? -(int64_t)u : (int64_t)u;
}

static inline int16_t ft_saturate_s16(int64_t v) {
  return (int16_t)(v < -32767 ? -32767 : (v > 32767 ? 32767 : v));
}

/* v * multiplier * 2^exponent, saturated at +-2^30. `multiplier` is below 2^31;
 * v is rounded to 31 bits first where it has more. */
static inline int32_t ft_bfp_scale(int64_t v, int32_t multiplier,
                                   int32_t exponent) {
  const int32_t limit = 1 << 30;
  int64_t q;
  if (v > INT32_MAX || v < -INT32_MAX) {
    const int32_t spare = ft_bit_length(ft_magnitude(v)) - 31;
    v = ft_shift_round(v, spare);
    exponent += spare;
  }
  q = v * multiplier;
  if (exponent < -32 && exponent >= -62) { /* nearly always */
    q = (q + ((int64_t)1 << (-exponent - 1)) - (q < 0)) >> 32;
    q = (int32_t)q >> (-exponent - 32);
  } else {
    q = ft_shift_round(q, -exponent);
  }
  return (int32_t)(q < -limit ? -limit : (q > limit ? limit : q));
}

#if defined(__GNUC__)
#define FT_BFP_COPIED static inline __attribute__((always_inline))
#else
#define FT_BFP_COPIED static inline
#endif

/* What is written: `fills` runs of `lanes` rows each, lane after lane, that lie
 * `apart` rows from each other; acc has lanes * cols sums. */
typedef struct {
  ft_bfp_row_fn fill;
  ft_bfp_row_s32_fn fill_s32; /* in place of `fill` */
  const void* context;
  void* acc; /* int64 or int32 */
  int32_t fills, cols, lanes, apart;
  int32_t passes;      /* FT_BFP_ONCE or FT_BFP_TWICE */
  const ft_part* part; /* of the fills; NULL: all */
  int32_t* exponent;   /* what parts know so far lies in its place */
} ft_bfp_matrix;

/* Bits of the longest sum, and behind them the fill that had them first. */
enum { FT_BFP_LENGTH_BITS = 6, FT_BFP_MAX_FILLS = 1 << 25 };

/* Computes sums; the bits of all of them. */
FT_BFP_COPIED uint64_t ft_bfp_sums(const ft_bfp_matrix* m, int32_t at) {
  const int32_t count = m->cols * m->lanes;
  const int32_t* narrow = (const int32_t*)m->acc;
  const int64_t* wide = (const int64_t*)m->acc;
  uint64_t all = 0;
  uint32_t few = 0;
  int32_t i;
  if (m->fill_s32) {
    m->fill_s32(m->context, at, (int32_t*)m->acc);
    for (i = 0; i < count; ++i)
      few |= narrow[i] < 0 ? (uint32_t)0 - (uint32_t)narrow[i]
                           : (uint32_t)narrow[i];
    return few;
  }
  m->fill(m->context, at, (int64_t*)m->acc);
  for (i = 0; i < count; ++i) all |= ft_magnitude(wide[i]);
  return all;
}

/* A rounded magnitude with the sign of `sign` (0 or -1). */
static inline int16_t ft_bfp_signed(uint32_t rounded, int32_t sign) {
  const int32_t v = rounded > 32767 ? 32767 : (int32_t)rounded;
  return (int16_t)((v ^ sign) - sign);
}

/* round(v / 2^shift), |v| < 2^31, 0 < shift < 32. */
static inline int16_t ft_bfp_round_s32(int32_t v, int32_t shift) {
  const int32_t sign = v < 0 ? -1 : 0;
  const uint32_t half = (uint32_t)1 << (shift - 1);
  return ft_bfp_signed(((uint32_t)((v ^ sign) - sign) + half) >> shift, sign);
}

/* The same of 64 bits, of which the result has 17 at most. */
static inline int16_t ft_bfp_round_s64(int64_t v, int32_t shift) {
  const uint64_t u = ft_magnitude(v) + ((uint64_t)1 << (shift - 1));
  return ft_bfp_signed((uint32_t)u >> shift | (uint32_t)(u >> 32)
                                                  << (32 - shift),
                       v < 0 ? -1 : 0);
}

/* Mantissas of sums; `bits`: of all of them, 16 at most behind `shift`. */
static inline void ft_bfp_write(const int64_t* FT_RESTRICT acc, int32_t count,
                                uint64_t bits, int32_t shift,
                                int16_t* FT_RESTRICT out) {
  int32_t i;
  if (shift <= 0 || shift >= 32)
    for (i = 0; i < count; ++i)
      out[i] = ft_saturate_s16(ft_shift_round(acc[i], shift));
  else if (bits >> 31 == 0)
    for (i = 0; i < count; ++i)
      out[i] = ft_bfp_round_s32((int32_t)acc[i], shift);
  else
    for (i = 0; i < count; ++i) out[i] = ft_bfp_round_s64(acc[i], shift);
}

static inline void ft_bfp_write_s32(const int32_t* FT_RESTRICT acc,
                                    int32_t count, int32_t shift,
                                    int16_t* FT_RESTRICT out) {
  int32_t i;
  if (shift <= 0 || shift >= 32)
    for (i = 0; i < count; ++i)
      out[i] = ft_saturate_s16(ft_shift_round(acc[i], shift));
  else
    for (i = 0; i < count; ++i) out[i] = ft_bfp_round_s32(acc[i], shift);
}

/* What `at` filled, where it belongs. */
static inline void ft_bfp_write_fill(const ft_bfp_matrix* m, int32_t at,
                                     uint64_t bits, int32_t shift,
                                     int16_t* out) {
  const int32_t run = m->apart * m->cols;
  int32_t lane;
  out += m->lanes == 1
             ? at * m->cols
             : at / m->apart * m->lanes * run + at % m->apart * m->cols;
  for (lane = 0; lane < m->lanes; ++lane, out += run) {
    if (m->fill_s32)
      ft_bfp_write_s32((const int32_t*)m->acc + lane * m->cols, m->cols, shift,
                       out);
    else
      ft_bfp_write((const int64_t*)m->acc + lane * m->cols, m->cols, bits,
                   shift, out);
  }
}

/* What a run knows: the bits of all sums so far, and how many fills have to be
 * written again with the shift that they come to. */
typedef struct {
  uint64_t all;
  int32_t again;
} ft_bfp_known;

static inline ft_bfp_known ft_bfp_known_so_far(const ft_bfp_matrix* m) {
  ft_bfp_known k = {0, 0};
  int32_t length;
  if (!m->part || (m->part->round == 0 && m->part->first == 0)) return k;
  length = *m->exponent & ((1 << FT_BFP_LENGTH_BITS) - 1);
  k.all = length == 0 ? 0 : (uint64_t)1 << (length - 1);
  k.again = *m->exponent >> FT_BFP_LENGTH_BITS;
  return k;
}

/* Writes all rows, or the rows of a part; then the exponent: mantissa =
 * round(sum / 2^shift), of `exponent` + shift. `predicted`: NULL, or what the
 * last step foresaw, renewed for the next. Round 0 of a call in parts computes
 * and round 1 writes again what was written with a shift that is too small.
 * Copied into its callers, so that they call no function by its address. */
FT_BFP_COPIED void ft_bfp_run(const ft_bfp_matrix* m, int32_t* predicted,
                              int64_t exponent, int16_t* out) {
  int32_t first = predicted ? *predicted : -64;
  const int32_t slack = predicted ? FT_BFP_SLACK : 0;
  const int32_t begin = m->part ? m->part->first : 0;
  int32_t end = m->part ? m->part->end : m->fills;
  int32_t pass = m->part ? m->part->round : 0, shift, need, at;
  ft_bfp_known known = ft_bfp_known_so_far(m);
  if (first < -64) first = -64;
  if (first > 64) first = 64;
  for (;; pass = 1) {
    need = ft_bit_length(known.all) - FT_BFP_BITS;
    shift = known.all != 0 && need > first ? need : first;
    if (pass == 1) {
      if (known.all != 0 && first > need + slack) {
        shift = need;
        known.again = m->fills;
      }
      if (m->passes == FT_BFP_TWICE) known.again = m->fills;
      if (end > known.again) end = known.again;
    }
    for (at = begin; at < end; ++at) {
      const uint64_t bits = ft_bfp_sums(m, at);
      if (pass == 0) known.all |= bits;
      if (pass == 0 && m->passes == FT_BFP_TWICE) continue;
      if (pass == 0) {
        need = ft_bit_length(known.all) - FT_BFP_BITS;
        if (need > shift && known.all != 0) {
          shift = need;
          known.again = at;
        }
      }
      ft_bfp_write_fill(m, at, bits, shift, out);
    }
    if (pass == 1) break;
    if (m->part) {
      *m->exponent =
          known.again * (1 << FT_BFP_LENGTH_BITS) + ft_bit_length(known.all);
      return;
    }
  }
  if (m->part && !m->part->is_last) return;
  if (known.all == 0)
    shift = predicted ? first : 0;
  else if (predicted)
    *predicted = need + FT_BFP_HEADROOM;
  *m->exponent = ft_clamp_exponent(exponent + shift);
}

/* `rows` rows, one a fill. */
FT_BFP_COPIED ft_bfp_matrix ft_bfp_matrix_of(ft_bfp_row_fn fill,
                                             const void* context, int32_t rows,
                                             int32_t cols, void* acc,
                                             const ft_args* args) {
  ft_bfp_matrix m;
  m.fill = fill;
  m.fill_s32 = NULL;
  m.context = context;
  m.acc = acc;
  m.fills = rows;
  m.cols = cols;
  m.lanes = m.apart = 1;
  m.passes = FT_BFP_ONCE;
  m.part = args->part;
  m.exponent = (int32_t*)args->out[1];
  return m;
}

/* Output 0 has the rows and output 1 their exponent: `exponent` and the shift.
 */
FT_BFP_COPIED void ft_bfp_rows(ft_bfp_row_fn fill, const void* context,
                               int32_t rows, int32_t cols, int64_t* acc,
                               int32_t* predicted, int64_t exponent,
                               const ft_args* args) {
  const ft_bfp_matrix m =
      ft_bfp_matrix_of(fill, context, rows, cols, acc, args);
  ft_bfp_run(&m, predicted, exponent, (int16_t*)args->out[0]);
}

#endif /* FT_KERNELS_BFP_H_ */
