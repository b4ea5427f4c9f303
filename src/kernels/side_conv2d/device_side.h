/* What the rows of microcontrollers share: a layer with its side, and the last
 * step of one output by the arithmetic of the C99 row. */
#ifndef FT_KERNELS_SIDE_CONV2D_DEVICE_SIDE_H_
#define FT_KERNELS_SIDE_CONV2D_DEVICE_SIDE_H_

#include "kernels/fully_connected/device_finish.h"
#include "kernels/quant/low_rank.h"
#include "kernels/side_conv2d/side_conv2d.h"

typedef struct {
  const ft_conv_params* p;
  const ft_device_channels* channels;
  const void* w; /* packed */
  const int8_t* a;
  const int32_t* a_factor;
  const int16_t* b;
  int round_once;
} ft_side_layer;

/* aux: packed weights, ft_device_channels of a layer to which up to 2^23 are
 * added. */
static inline ft_side_layer ft_side_layer_of(const void* params,
                                             const ft_args* args) {
  const ft_side_conv2d_params* side = (const ft_side_conv2d_params*)params;
  ft_side_layer l;
  l.p = &side->conv;
  l.channels = (const ft_device_channels*)args->aux[1];
  l.w = args->aux[0];
  l.a = (const int8_t*)args->in[3];
  l.a_factor = (const int32_t*)args->in[4];
  l.b = (const int16_t*)args->in[5];
  l.round_once = side->round_once;
  return l;
}

/* The sums of a plain layer can be finished in a loop of their own. */
static inline int ft_side_is_plain(const ft_side_layer* l) {
  return l->channels->is_plain && !l->round_once;
}

/* Output channel c of a pixel from its sum and from B h. */
static inline int8_t ft_side_finish(const ft_side_layer* l, int32_t c,
                                    int32_t side, int32_t sum) {
  const ft_conv_params* p = l->p;
  const ft_device_channel* k = ft_channel_list(l->channels) + c;
  int32_t acc = ft_add_wrap(sum, k->init);
  acc = ft_add_wrap(acc, side >> FT_SIDE_BITS);
  acc = l->round_once ? ft_device_requantize_once(acc, k)
                      : ft_requantize(acc, k->multiplier, -k->right);
  return (int8_t)ft_clamp_i32(acc + p->y_zero_point, p->q_low, p->q_high);
}

#endif /* FT_KERNELS_SIDE_CONV2D_DEVICE_SIDE_H_ */
