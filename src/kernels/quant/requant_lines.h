/* Requantization by two float lines instead of 64-bit products:
 *   q = floor((float)x * scale + offset), x = acc - center,
 * exactly (a fused product and sum that is rounded down, then floor), with one
 * scale and offset for x <= split and others above; the output's zero point is
 * in them. Sums of one channel are integers and outputs have 8 bits, so a line
 * has room between neighbouring sums to be right on. Whether a pair of lines is
 * right for every sum that the weights allow is decided when compiling, at both
 * sides of each step of the reference (fixed_point.h): between steps nothing
 * can change, since both functions are monotone. */
#ifndef FT_KERNELS_QUANT_REQUANT_LINES_H_
#define FT_KERNELS_QUANT_REQUANT_LINES_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t multiplier, shift;
  int32_t rounds_once; /* ft_requantize_once(), else ft_requantize() */
  int32_t zero_point, q_low, q_high;
  int64_t least, most; /* that a sum can be */
} ft_requant;

typedef struct {
  int32_t center, split;     /* split is meant of x */
  float scale[2], offset[2]; /* x <= split, and above */
} ft_requant_lines;

/* What the lines give for `x`; clamping to q_low and q_high comes later. */
int32_t ft_requant_line_at(const ft_requant_lines* lines, int32_t x);

/* Returns 0 if no such lines were found; where one is enough, both are it.
 * Takes about 10 microseconds. */
int ft_find_requant_lines(const ft_requant* r, ft_requant_lines* lines);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_QUANT_REQUANT_LINES_H_ */
