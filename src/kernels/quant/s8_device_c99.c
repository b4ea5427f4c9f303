#include <string.h>

#include "kernels/quant/s8_device.h"

enum { FT_DEVICE_MAX_RIGHT = 22 };

size_t ft_device_channels_bytes(int32_t out_c) {
  return sizeof(ft_device_channels) +
         (size_t)(out_c + out_c % 2) * sizeof(ft_device_channel);
}

/* The least and largest value that a sum and what it starts at can have stay
 * below 2^30, so that twice it is an int32. */
static int is_small(int64_t init, int64_t magnitude) {
  return (init < 0 ? -init : init) + 128 * magnitude < ((int64_t)1 << 30);
}

void ft_device_set_channels(const ft_device_layer* layer, const int8_t* w,
                            const int32_t* bias, const int32_t* multiplier,
                            const int32_t* shift, ft_device_channels* out) {
  int32_t c, i;
  memset(out, 0, ft_device_channels_bytes(layer->out_c));
  out->is_plain = 1;
  for (c = 0; c < layer->out_c; ++c) {
    const int8_t* ws = w + c * layer->stride;
    ft_device_channel* to = (ft_device_channel*)(void*)(out + 1) + c;
    int64_t sum = 0, magnitude = 0, init;
    for (i = 0; i < layer->count; ++i) {
      const int32_t v = ws[i * layer->step];
      sum += v;
      magnitude += v < 0 ? -v : v;
    }
    init = (bias ? bias[c] : 0) - layer->x_zero_point * sum;
    to->init = (int32_t)(uint32_t)(uint64_t)init; /* sums wrap */
    to->multiplier = multiplier[c];
    to->right = -shift[c];
    if (to->right < 1 || to->right > FT_DEVICE_MAX_RIGHT ||
        !is_small(init, magnitude))
      out->is_plain = 0;
    else
      to->offset = (int32_t)(1u << (to->right - 1)) +
                   layer->y_zero_point * (int32_t)(1u << to->right);
  }
}
