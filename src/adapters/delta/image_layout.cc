#include "adapters/delta/image_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "adapters/device_image.h"

namespace ft {
namespace {

constexpr size_t kBlock = 64;
constexpr double kSwitchBits = 60;  // what one more segment takes
constexpr std::array kKinds = {FT_DELTA_I8, FT_DELTA_I16, FT_DELTA_F32};

template <class T>
T element(std::span<const std::byte> bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

// What differences of this mean size take, roughly: the entropy of a Laplace
// distribution.
double laplace_bits(double mean) { return std::log2(mean + 0.2) + 2.44; }

template <class T>
double integer_bits(std::span<const std::byte> before,
                    std::span<const std::byte> after) {
  double sum = 0;
  const size_t count = after.size() / sizeof(T);
  for (size_t i = 0; i < count; ++i)
    sum += std::abs(static_cast<double>(static_cast<T>(
        element<T>(after, i * sizeof(T)) - element<T>(before, i * sizeof(T)))));
  const auto n = static_cast<double>(count);
  return n * laplace_bits(sum / n);
}

// Floats of a block differ in exponent, which the model knows: each is its own
// scale.
double float_bits(std::span<const std::byte> before,
                  std::span<const std::byte> after) {
  double bits = 0;
  for (size_t at = 0; at < after.size(); at += 4)
    bits += laplace_bits(std::abs(static_cast<double>(
        element<int32_t>(after, at) - int64_t{element<int32_t>(before, at)})));
  return bits;
}

double bits_of(ft_delta_kind kind, std::span<const std::byte> before,
               std::span<const std::byte> after) {
  switch (kind) {
    case FT_DELTA_I8: return integer_bits<int8_t>(before, after);
    case FT_DELTA_I16: return integer_bits<int16_t>(before, after);
    default: return float_bits(before, after);
  }
}

// The cheapest kind of each block, where each change costs something.
std::vector<ft_delta_kind> kinds_of(std::span<const std::byte> before,
                                    std::span<const std::byte> after) {
  const size_t blocks = after.size() / kBlock;
  std::vector<std::array<uint8_t, kKinds.size()>> from(blocks);
  std::array<double, kKinds.size()> cost{};
  for (size_t b = 0; b < blocks; ++b) {
    const auto best =
        static_cast<uint8_t>(std::ranges::min_element(cost) - cost.begin());
    const double change = cost[best] + kSwitchBits;
    for (size_t k = 0; k < kKinds.size(); ++k) {
      from[b][k] = change < cost[k] ? best : static_cast<uint8_t>(k);
      cost[k] = std::min(cost[k], change) +
                bits_of(kKinds[k], before.subspan(b * kBlock, kBlock),
                        after.subspan(b * kBlock, kBlock));
    }
  }
  std::vector<ft_delta_kind> kinds(blocks);
  auto k = static_cast<size_t>(std::ranges::min_element(cost) - cost.begin());
  for (size_t b = blocks; b-- > 0; k = from[b][k]) kinds[b] = kKinds[k];
  return kinds;
}

PlannedSegment segment_of(const char* name, ft_delta_kind kind, size_t offset,
                          size_t bytes) {
  PlannedSegment out{.name = name, .new_offset = offset};
  out.segment.kind = kind;
  out.segment.has_old = 1;
  out.segment.old_offset = static_cast<uint32_t>(offset);
  out.segment.count =
      static_cast<uint32_t>(bytes / ft_delta_element_bytes(kind));
  out.segment.row = out.segment.count;
  out.segment.groups = 1;
  return out;
}

}  // namespace

Result<std::vector<PlannedSegment>> plan_image_segments(
    std::span<const std::byte> old_image,
    std::span<const std::byte> new_image) {
  FT_TRY(const DeviceImage before,
         decode_device_image(old_image, "the old image"));
  FT_TRY(const DeviceImage after,
         decode_device_image(new_image, "the new image"));
  if (before.kind != after.kind || before.base_hash != after.base_hash ||
      before.plan_hash != after.plan_hash ||
      before.payload.size() != after.payload.size())
    return invalid_input(
        "a delta cannot lead from one program's image to another's: kind, "
        "base model, program and payload size must be the same");
  const size_t header = new_image.size() - after.payload.size();
  std::vector<PlannedSegment> out{
      segment_of("header", FT_DELTA_TEXT, 0, header)};
  size_t at = header;
  for (const ft_delta_kind kind : kinds_of(before.payload, after.payload)) {
    if (out.size() == 1 || out.back().segment.kind != kind)
      out.push_back(segment_of("payload", kind, at, 0));
    ft_delta_segment& s = out.back().segment;
    s.count += static_cast<uint32_t>(kBlock / ft_delta_element_bytes(kind));
    s.row = s.count;
    at += kBlock;
  }
  if (at < new_image.size())
    out.push_back(
        segment_of("payload", FT_DELTA_I8, at, new_image.size() - at));
  return out;
}

}  // namespace ft
