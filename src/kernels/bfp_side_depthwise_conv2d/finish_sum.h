/* What an adapter adds to a depthwise layer's accumulators. */
#ifndef FT_KERNELS_BFP_SIDE_DEPTHWISE_CONV2D_FINISH_SUM_H_
#define FT_KERNELS_BFP_SIDE_DEPTHWISE_CONV2D_FINISH_SUM_H_

#include "kernels/bfp/side.h"

/* A number of the adapter's in the accumulator's unit, from pair `aux`. */
static inline int32_t ft_in_acc_unit(const ft_args* args, int32_t aux,
                                     int32_t c, int64_t v, int32_t exponent) {
  return ft_bfp_scale(
      v, ((const int32_t*)args->aux[aux])[c],
      ft_clamp_exponent((int64_t)exponent +
                        ((const int32_t*)args->aux[aux + 1])[c]));
}

/* Both biases of channel c. */
static inline int32_t ft_both_biases(const ft_args* args, int32_t c) {
  const int32_t* bias = (const int32_t*)args->in[2];
  const int16_t* delta = (const int16_t*)args->in[5];
  const int32_t* delta_exp = (const int32_t*)args->in[6];
  int32_t sum = bias ? bias[c] : 0;
  if (delta)
    sum =
        ft_bfp_add_wrap(sum, ft_in_acc_unit(args, 4, c, delta[c], *delta_exp));
  return sum;
}

static inline int32_t ft_finish_side_sum(const ft_args* args,
                                         const ft_bfp_gain* gain,
                                         int bias_inside, int32_t c,
                                         int32_t acc, int64_t side) {
  const int32_t* delta_exp = (const int32_t*)args->in[4];
  if (delta_exp)
    acc = ft_bfp_add_wrap(acc, ft_in_acc_unit(args, 2, c, side, *delta_exp));
  if (bias_inside) acc = ft_bfp_add_wrap(acc, ft_both_biases(args, c));
  acc = ft_bfp_gained(gain, acc, c);
  return bias_inside ? acc : ft_bfp_add_wrap(acc, ft_both_biases(args, c));
}

#endif /* FT_KERNELS_BFP_SIDE_DEPTHWISE_CONV2D_FINISH_SUM_H_ */
