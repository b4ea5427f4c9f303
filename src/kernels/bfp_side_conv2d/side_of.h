/* The low-rank side of a call of bfp_side_conv2d. */
#ifndef FT_KERNELS_BFP_SIDE_CONV2D_SIDE_OF_H_
#define FT_KERNELS_BFP_SIDE_CONV2D_SIDE_OF_H_

#include "kernels/bfp/side.h"
#include "kernels/conv2d/conv_params.h"

/* Aux `aux` and the next have the multiplier and exponent. */
static inline ft_bfp_side ft_side_of(const ft_conv_params* p,
                                     const ft_args* args, int32_t aux) {
  ft_bfp_side s = ft_bfp_no_side();
  if (p->rank == 0) return s; /* there are no such buffers */
  s.rank = p->rank;
  s.h = (const int16_t*)args->in[3];
  s.b = (const int16_t*)args->in[5];
  s.multiplier = (const int32_t*)args->aux[aux];
  s.unit = (const int32_t*)args->aux[aux + 1];
  s.exponent = ft_clamp_exponent((int64_t) * (const int32_t*)args->in[4] +
                                 *(const int32_t*)args->in[6]);
  return s;
}

#endif /* FT_KERNELS_BFP_SIDE_CONV2D_SIDE_OF_H_ */
