#include <string.h>

#include "kernels/quant/fixed_point.h"
#include "kernels/quant/s8_device.h"

enum { FT_DEVICE_MAX_RIGHT = 22 };

size_t ft_device_channels_bytes(int32_t out_c) {
  return sizeof(ft_device_channels) +
         (size_t)(out_c + out_c % 2) * sizeof(ft_device_channel);
}

/* What a channel's weights make of x: x in [-128, 127]. */
typedef struct {
  int64_t sum, magnitude; /* of the weights, of their absolute values */
  int64_t least, most;    /* sums over x * w */
} weight_range;

static weight_range range_of(const ft_device_layer* layer, const int8_t* ws) {
  weight_range r = {0, 0, 0, 0};
  int32_t i;
  for (i = 0; i < layer->count; ++i) {
    const int32_t v = ws[i * layer->step];
    r.sum += v;
    r.magnitude += v < 0 ? -v : v;
    r.least += v < 0 ? 127 * v : -128 * v;
    r.most += v < 0 ? -128 * v : 127 * v;
  }
  return r;
}

/* The least and largest value that a sum, what it starts at and what is added
 * can have stay below 2^30, so that twice it is an int32. */
static int is_small(int64_t init, int64_t magnitude, int64_t added) {
  return (init < 0 ? -init : init) + 128 * magnitude + added <
         ((int64_t)1 << 30);
}

static int is_plain(const ft_device_channel* c, int64_t init, int64_t magnitude,
                    int64_t added) {
  return c->right >= 1 && c->right <= FT_DEVICE_MAX_RIGHT &&
         is_small(init, magnitude, added);
}

/* Whether every sum gives the same output, which then replaces the channel's
 * constants: requantization keeps the order of sums. */
static int fold_constant(const ft_device_layer* layer, const weight_range* r,
                         int64_t init, ft_device_channel* c) {
  const int64_t least = init + r->least, most = init + r->most;
  int32_t q;
  if (!layer->is_fixed || least < INT32_MIN || most > INT32_MAX ||
      c->right < 0 || c->right > 31)
    return 0;
  q = ft_requantize((int32_t)least, c->multiplier, -c->right);
  if (q != ft_requantize((int32_t)most, c->multiplier, -c->right)) return 0;
  if (q < -(1 << 20) || q > 1 << 20) return 0; /* twice it must fit */
  c->init = 0;
  c->multiplier = 0;
  c->right = 1;
  c->offset = 2 * (q + layer->y_zero_point) + 1;
  return 1;
}

/* Constants of one channel; whether it is plain. */
static int set_channel(const ft_device_layer* layer, const weight_range* range,
                       int32_t bias, ft_device_channel* to) {
  const int64_t init = bias - layer->x_zero_point * range->sum;
  to->init = (int32_t)(uint32_t)(uint64_t)init; /* sums wrap */
  if (!is_plain(to, init, range->magnitude, layer->added))
    return fold_constant(layer, range, init, to);
  to->offset = (int32_t)(1u << (to->right - 1)) +
               layer->y_zero_point * (int32_t)(1u << to->right);
  return 1;
}

/* Of a layer that is not plain no channel is folded. */
static int set_all(const ft_device_layer* layer, const int8_t* w,
                   const int32_t* bias, const int32_t* multiplier,
                   const int32_t* shift, ft_device_channels* out) {
  int32_t c, all_plain = 1;
  memset(out, 0, ft_device_channels_bytes(layer->out_c));
  for (c = 0; c < layer->out_c; ++c) {
    ft_device_channel* to = (ft_device_channel*)(void*)(out + 1) + c;
    const weight_range range = range_of(layer, w + c * layer->stride);
    to->multiplier = multiplier[c];
    to->right = -shift[c];
    all_plain &= set_channel(layer, &range, bias ? bias[c] : 0, to);
  }
  out->is_plain = all_plain;
  return all_plain;
}

void ft_device_set_channels(const ft_device_layer* layer, const int8_t* w,
                            const int32_t* bias, const int32_t* multiplier,
                            const int32_t* shift, ft_device_channels* out) {
  ft_device_layer as_it_is = *layer;
  if (set_all(layer, w, bias, multiplier, shift, out)) return;
  as_it_is.is_fixed = 0;
  set_all(&as_it_is, w, bias, multiplier, shift, out);
}
