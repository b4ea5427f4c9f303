// The depthwise convolution that nearly all models use, 3x3 with stride 1, as
// Highway loops that keep the weights (or their gradient) in registers.
#pragma once

#include <cstdint>

#include "kernels/conv2d/conv_params.h"

namespace ft {

// Whether the loops below do this one on this machine.
bool is_depthwise3x3(const ft_conv_params& p);

// out[n, out_h, out_w, c] = clamp(bias + in * w) where w is [3, 3, c] and
// element (ky, kx) reads in[y - pad_top + ky, x - pad_left + kx]. With in = dy,
// w flipped and padding 2 - pad, out is the input gradient.
struct Depthwise3x3 {
  int batch, channels;
  int in_h, in_w, out_h, out_w;
  int pad_top, pad_left;  // may be negative
  int act;
  const float *in, *w, *bias;  // bias may be nullptr
  float* out;
};
void depthwise3x3(const Depthwise3x3& args);

// dw[3, 3, c] = x_scale * sum of (x - x_zero_point) dy.
void depthwise3x3_weight_grad(const ft_conv_params& p, const float* x,
                              const float* dy, float* dw);
void depthwise3x3_weight_grad(const ft_conv_params& p, const int8_t* x,
                              const float* dy, float* dw);

}  // namespace ft
