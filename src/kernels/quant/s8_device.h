/* Constants that rows of microcontrollers read, made when compiling.
 *
 * Those rows multiply x as it is stored: the sum over (x - zero_point) * w is
 * the sum over x * w minus a constant of the channel, which is part of `init`,
 * where padding reads as zero_point. What replaces bias, multiplier and shift
 * takes no more bytes than they do. */
#ifndef FT_KERNELS_QUANT_S8_DEVICE_H_
#define FT_KERNELS_QUANT_S8_DEVICE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* is_plain: ((2 * acc * multiplier, rounded at bit 32) + its sign + offset) >>
 * right is the requantized sum with the output's zero point, for every sum that
 * this layer can have. Else `right` is minus the shift, and fixed_point.h's
 * functions do it. A plain layer's channel whose sums all give one output, as
 * those of a pruned filter do, has multiplier 0 and that output. */
typedef struct {
  int32_t init; /* bias - zero_point * sum of w */
  int32_t multiplier;
  int32_t offset; /* 2^(right - 1) + (zero point of y << right) */
  int32_t right;
} ft_device_channel;

typedef struct {
  int32_t is_plain, unused[3]; /* what follows is aligned to 16 bytes */
} ft_device_channels;

/* They follow the struct. */
static inline const ft_device_channel* ft_channel_list(
    const ft_device_channels* all) {
  return (const ft_device_channel*)(const void*)(all + 1);
}

typedef struct {
  int32_t out_c, x_zero_point, y_zero_point;
  int32_t stride, step,
      count;        /* weight i of channel c: c * stride + i * step */
  int32_t is_fixed; /* nothing else is added to the sums */
  int32_t added;    /* what is added, if a plain formula is to hold with it */
} ft_device_layer;

/* Of `out_c` channels, rounded up to an even number. */
size_t ft_device_channels_bytes(int32_t out_c);
void ft_device_set_channels(const ft_device_layer* layer, const int8_t* w,
                            const int32_t* bias, const int32_t* multiplier,
                            const int32_t* shift, ft_device_channels* out);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_QUANT_S8_DEVICE_H_ */
