#include "passes/side_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/side_conv2d/side_conv2d.h"
#include "kernels/wide_depthwise_conv2d/wide_depthwise_conv2d.h"

namespace ft {
namespace {

constexpr double kSideUnits = 1 << FT_SIDE_BITS;
constexpr double kMostAdded = 8388608;  // 2^31 / kSideUnits
constexpr double kMost16 = 32767;

// A row of A as integers, and the largest sum that an int8 x can make of it.
struct Row {
  std::vector<int8_t> values;
  double scale = 0, most = 0;
};

Row quantized_row(std::span<const float> a, int32_t zero_point) {
  Row row;
  double largest = 0;
  for (const float v : a)
    largest = std::max(largest, std::abs(static_cast<double>(v)));
  row.scale = largest / 127;
  double up = 0, down = 0;
  for (const float v : a) {
    const double q =
        largest > 0 ? std::round(static_cast<double>(v) / row.scale) : 0;
    row.values.push_back(static_cast<int8_t>(q));
    const double high = q * (127 - zero_point), low = q * (-128 - zero_point);
    up += std::max(high, low);
    down -= std::min(high, low);
  }
  row.most = std::max(up, down);
  return row;
}

// What column i of B adds to each channel's accumulator for one unit of h's
// sum.
std::vector<double> column_units(const SideLayer& layer, const SideFactors& f,
                                 const Row& row, int64_t i) {
  std::vector<double> units;
  for (int64_t c = 0; c < f.out_c; ++c)
    units.push_back(
        f.scaling *
        static_cast<double>(f.b[static_cast<size_t>(c * f.rank + i)]) *
        row.scale /
        static_cast<double>(layer.weight_scale[static_cast<size_t>(c)]));
  return units;
}

// The range that h gets: B's rounding costs up to range / 2 parts of a unit,
// h's `added` / (2 range) units, so the best range is the root of both; and B
// must fit 16 bits.
double range_of_h(double most, double added) {
  const double best =
      std::max(std::sqrt(kSideUnits * added), kSideUnits * added / kMost16);
  return std::min({best, kMost16, most / 2});
}

bool all_finite(std::span<const float> values) {
  return std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
}

Status too_much(const SideLayer& layer, double added) {
  return invalid_input(fmt::format(
      "what the adapter adds to '{}' reaches {:.3g} units of its accumulator; "
      "16-bit sides hold {:.0f}: use --adapter-mode side",
      layer.name, added, kMostAdded));
}

}  // namespace

int coarser_by(double steps_per_unit, int steps) {
  return std::max(
      0, -steps - static_cast<int>(std::floor(std::log2(steps_per_unit))));
}

Result<SideValues> side_values(const SideLayer& layer, const SideFactors& f) {
  if (!all_finite(f.a) || !all_finite(f.b))
    return invalid_input(fmt::format(
        "the adapter of '{}' holds values that are not finite", layer.name));
  SideValues out{.rank = (f.rank + 1) / 2 * 2,
                 .row = (f.window + 15) / 16 * 16,
                 .a = {},
                 .a_factor = {},
                 .b = {}};
  out.a.resize(static_cast<size_t>(out.rank * out.row));
  out.a_factor.resize(static_cast<size_t>(out.rank));
  out.b.resize(static_cast<size_t>(f.out_c * out.rank));
  double all_added = 0;
  for (int64_t i = 0; i < f.rank; ++i) {
    const Row row =
        quantized_row(std::span(f.a).subspan(static_cast<size_t>(i * f.window),
                                             static_cast<size_t>(f.window)),
                      layer.x_zero_point);
    const std::vector<double> units = column_units(layer, f, row, i);
    double largest = 0;
    for (const double u : units) largest = std::max(largest, std::abs(u));
    if (row.most == 0 || largest == 0) continue;
    all_added += largest * row.most;
    if (all_added >= kMostAdded) return too_much(layer, all_added);
    const double factor = std::floor(range_of_h(row.most, largest * row.most) /
                                     row.most * 4294967296.0);
    std::ranges::copy(row.values, &out.a[static_cast<size_t>(i * out.row)]);
    out.a_factor[static_cast<size_t>(i)] =
        static_cast<int32_t>(std::min(factor, 2147483647.0));
    const double h_units =
        static_cast<double>(out.a_factor[static_cast<size_t>(i)]) /
        4294967296.0;
    for (int64_t c = 0; c < f.out_c; ++c) {
      const double b =
          std::round(kSideUnits * units[static_cast<size_t>(c)] / h_units);
      if (std::abs(b) > kMost16) return too_much(layer, largest * row.most);
      out.b[static_cast<size_t>(c * out.rank + i)] = static_cast<int16_t>(b);
    }
  }
  return out;
}

Result<WideValues> wide_values(const SideLayer& layer,
                               std::span<const double> w,
                               std::span<const double> bias) {
  constexpr double kUnits = 1 << FT_WIDE_BITS;
  constexpr double kMostStart = 1 << 30;  // far beyond any output
  const auto channels = static_cast<int32_t>(bias.size());
  const auto taps = static_cast<int32_t>(w.size() / bias.size());
  WideValues out;
  out.w.resize(static_cast<size_t>((channels + 3) / 4 * 4 * taps));
  for (int32_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (int32_t tap = 0; tap < taps; ++tap) {
      const double q =
          std::round(kUnits * w[static_cast<size_t>(tap * channels + c)]);
      if (!(std::abs(q) <= kMost16))
        return invalid_input(fmt::format(
            "with the adapter, a weight of '{}' is {:.3g} times its scale; 16 "
            "bits hold {:.0f}: use --adapter-mode side",
            layer.name, q / kUnits, kMost16 / kUnits));
      out.w[static_cast<size_t>(ft_wide_index(taps, tap, c))] =
          static_cast<int16_t>(q);
      sum += q;
    }
    const double start = std::round(kUnits * bias[static_cast<size_t>(c)]) -
                         layer.x_zero_point * sum + kUnits / 2;
    out.start.push_back(
        static_cast<int32_t>(std::clamp(start, -kMostStart, kMostStart)));
  }
  return out;
}

}  // namespace ft
