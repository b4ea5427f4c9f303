/* A row of microcontrollers that finds the taps of each output pixel. The
 * includer defines FT_FN (symbol) and one_pixel(). scratch: pointers to the
 * taps, a row of zero points. */
#include <string.h>

#include "kernels/depthwise_conv2d/depthwise_conv2d.h"
#include "kernels/depthwise_conv2d/tap_rows.h"

void FT_FN(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  const ft_part part = ft_part_of(args, ft_num_pixels(p));
  int8_t* y = (int8_t*)args->out[0] + part.first * p->out_c;
  const int8_t** taps = (const int8_t**)args->scratch;
  int8_t* outside = (int8_t*)(taps + p->k_h * p->k_w);
  ft_cursor at = ft_cursor_at(p, part.first);
  int32_t pixel;
  memset(outside, p->x_zero_point, (size_t)p->in_c);
  for (pixel = part.first; pixel < part.end; ++pixel, y += p->out_c) {
    ft_tap_rows(p, x, &at, outside, taps);
    one_pixel(p, args, taps, y);
    ft_cursor_next(p, &at);
  }
}
