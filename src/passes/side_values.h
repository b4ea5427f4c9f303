// An adapter's float values as the integers that int8 layers with a side read
// (kernels/side_conv2d/, kernels/wide_depthwise_conv2d/).
//
// Nothing is calibrated: the range of h = A x follows from A and from the range
// that an int8 x has, so no sample can leave it. Everything that depends on the
// adapter is among the values; what is constant in the device's code depends on
// the base alone, so adapters can be swapped.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace ft {

// Of a layer: real x = x_scale * (q - x_zero_point), and one unit of output
// channel c's accumulator is x_scale * weight_scale[c].
struct SideLayer {
  std::string name;
  float x_scale;
  int32_t x_zero_point;
  std::vector<float> weight_scale;
};

// Channels whose weights are so small that 2^steps accumulator units are less
// than one step of the output have no room for what an adapter adds to them:
// gives the power of two that their unit is coarser by, mostly 0.
// `steps_per_unit`: x_scale * weight_scale / y_scale, positive.
int coarser_by(double steps_per_unit, int steps);

struct SideFactors {
  int64_t rank, window, out_c;
  std::vector<float> a;  // [rank, window]
  std::vector<float> b;  // [out_c, rank]
  double scaling;
};

struct SideValues {
  int64_t rank, row;              // even; bytes of a row of a
  std::vector<int8_t> a;          // [rank, row]
  std::vector<int32_t> a_factor;  // [rank]
  std::vector<int16_t> b;         // [out_c, rank]
};

// scaling * B (A x) in integers. Fails, naming the layer, where values are not
// finite or what the side adds exceeds 2^23 accumulator units.
Result<SideValues> side_values(const SideLayer& layer,
                               const SideFactors& factors);

struct WideValues {
  std::vector<int16_t> w;      // in the order of wide_depthwise_conv2d.h
  std::vector<int32_t> start;  // [channels]
};

// Depthwise weights `w` [taps, channels] in units of their scale, which need
// not be integers, and `bias` in accumulator units. Fails, naming the layer,
// where a weight is beyond what 16 bits reach.
Result<WideValues> wide_values(const SideLayer& layer,
                               std::span<const double> w,
                               std::span<const double> bias);

}  // namespace ft
