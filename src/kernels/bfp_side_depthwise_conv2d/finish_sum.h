/* What an adapter adds to a depthwise layer's accumulators. */
#ifndef FT_KERNELS_BFP_SIDE_DEPTHWISE_CONV2D_FINISH_SUM_H_
#define FT_KERNELS_BFP_SIDE_DEPTHWISE_CONV2D_FINISH_SUM_H_

#include "kernels/bfp/side.h"
#include "kernels/bfp_side_depthwise_conv2d/bfp_side_depthwise_conv2d.h"

/* Numbers of the adapter's, to the accumulator's unit. */
typedef struct {
  const int32_t *multiplier, *unit; /* [out_c]; NULL: there are none */
  int32_t exponent;
} ft_adapter_unit;

typedef struct {
  ft_adapter_unit side, delta; /* of sums with w_delta; of the bias's */
  const int32_t* bias;
  const int16_t* bias_delta;
  ft_bfp_gain gain;
  int bias_inside;
} ft_side_sums;

/* From pair `aux`. */
static inline ft_adapter_unit ft_adapter_unit_of(const ft_args* args,
                                                 int32_t exponent,
                                                 int32_t aux) {
  const int32_t* own = (const int32_t*)args->in[exponent];
  ft_adapter_unit u = {NULL, NULL, 0};
  if (!own) return u;
  u.multiplier = (const int32_t*)args->aux[aux];
  u.unit = (const int32_t*)args->aux[aux + 1];
  u.exponent = ft_clamp_exponent(*own);
  return u;
}

static inline ft_side_sums ft_side_sums_of(
    const ft_bfp_side_depthwise_conv2d_params* p, const ft_args* args) {
  ft_side_sums s;
  s.side = ft_adapter_unit_of(args, 4, 2);
  s.delta = ft_adapter_unit_of(args, 6, 4);
  s.bias = (const int32_t*)args->in[2];
  s.bias_delta = (const int16_t*)args->in[5];
  s.gain = ft_bfp_gain_of(args->in[7], args->in[8], p->gain_multiplier,
                          p->gain_exponent);
  s.bias_inside = !s.gain.mantissas || p->conv.gain_bias;
  return s;
}

static inline int32_t ft_in_acc_unit(const ft_adapter_unit* u, int32_t c,
                                     int64_t v) {
  return ft_bfp_scale(v, u->multiplier[c], u->exponent + u->unit[c]);
}

/* Both biases of channel c. */
static inline int32_t ft_both_biases(const ft_side_sums* s, int32_t c) {
  const int32_t bias = s->bias ? s->bias[c] : 0;
  if (!s->bias_delta) return bias;
  return ft_bfp_add_wrap(bias, ft_in_acc_unit(&s->delta, c, s->bias_delta[c]));
}

/* acc: the sum of channel c with w; side: that with w_delta. */
static inline int32_t ft_finish_side_sum(const ft_side_sums* s, int32_t c,
                                         int32_t acc, int64_t side) {
  if (s->side.multiplier)
    acc = ft_bfp_add_wrap(acc, ft_in_acc_unit(&s->side, c, side));
  if (s->bias_inside) acc = ft_bfp_add_wrap(acc, ft_both_biases(s, c));
  acc = ft_bfp_gained(&s->gain, acc, c);
  return s->bias_inside ? acc : ft_bfp_add_wrap(acc, ft_both_biases(s, c));
}

#endif /* FT_KERNELS_BFP_SIDE_DEPTHWISE_CONV2D_FINISH_SUM_H_ */
