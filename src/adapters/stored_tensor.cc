#include "adapters/stored_tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "base/half.h"

namespace ft {
namespace {

using Format = Quantizer::Format;

template <class T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> narrowed(const std::vector<int32_t>& q, bool wide) {
  if (wide) return bytes_of(std::vector<int16_t>(q.begin(), q.end()));
  return bytes_of(std::vector<int8_t>(q.begin(), q.end()));
}

// Two integers a byte, the first in the low half; a last odd half is 0.
std::vector<std::byte> packed(const std::vector<int32_t>& q) {
  std::vector<std::byte> bytes((q.size() + 1) / 2);
  for (size_t i = 0; i < q.size(); ++i)
    bytes[i / 2] |= static_cast<std::byte>((q[i] & 15) << (i % 2 * 4));
  return bytes;
}

// The integers behind values that are (q - zero_point) * scale.
Result<std::vector<int32_t>> integers_of(const AdapterEntry& t) {
  const QuantGroups groups = groups_of(t.quantizer, t.shape);
  if (t.scale.size() != static_cast<size_t>(groups.groups) ||
      t.zero_point.size() != (t.quantizer.symmetric ? 0 : t.scale.size()))
    return internal_error("adapter file: '" + t.name + "' lacks steps");
  std::vector<int32_t> q(t.values.size());
  for (size_t i = 0; i < q.size(); ++i) {
    const auto g =
        static_cast<size_t>(groups.group_of(static_cast<int64_t>(i)));
    const int32_t z = t.zero_point.empty() ? 0 : t.zero_point[g];
    const float steps = std::nearbyint(t.values[i] / t.scale[g]);
    q[i] = static_cast<int32_t>(steps) + z;
    if (q[i] < t.quantizer.qmin() || q[i] > t.quantizer.qmax() ||
        steps * t.scale[g] != t.values[i])
      return internal_error(fmt::format(
          "adapter file: element {} of '{}' is {}, not a step of {}", i, t.name,
          t.values[i], t.scale[g]));
  }
  return q;
}

std::vector<std::byte> half_bytes(const AdapterEntry& t) {
  std::vector<uint16_t> half;
  for (const float v : t.values)
    half.push_back(t.quantizer.format == Format::kF16
                       ? ft_half_of_float(v)
                       : ft_bfloat16_of_float(v));
  return bytes_of(half);
}

// "4x64 64x4".
std::string shapes_text(const std::vector<Shape>& shapes) {
  std::vector<std::string> texts;
  for (const Shape& s : shapes)
    texts.push_back(fmt::format("{}", fmt::join(s.dims(), "x")));
  return fmt::format("{}", fmt::join(texts, " "));
}

}  // namespace

bool is_packed(const Quantizer& q) { return q.is_integer() && q.bits <= 4; }

DType stored_dtype(const Quantizer& q) {
  switch (q.format) {
    case Format::kF32: return DType::kF32;
    case Format::kF16: return DType::kF16;
    case Format::kBF16: return DType::kBF16;
    case Format::kInteger: break;
  }
  if (is_packed(q)) return DType::kU8;
  return q.bits <= 8 ? DType::kS8 : DType::kS16;
}

Result<StoredTensors> store_tensors(std::span<const AdapterEntry> tensors) {
  StoredTensors out;
  std::vector<float> scales;
  std::vector<int32_t> zero_points;
  std::vector<Shape> packed_shapes;
  for (const AdapterEntry& t : tensors) {
    SafetensorsEntry entry{
        .name = t.name,
        .dtype = stored_dtype(t.quantizer),
        .shape = {t.shape.dims().begin(), t.shape.dims().end()},
        .data = std::as_bytes(std::span(t.values))};
    if (t.quantizer.is_integer()) {
      const std::string text = t.quantizer.to_string();
      const auto [at, fresh] = out.metadata.emplace(kQuantizerKey, text);
      if (!fresh && at->second != text)
        return internal_error("adapter file: two quantizers");
      FT_TRY(const auto q, integers_of(t));
      out.storage.push_back(is_packed(t.quantizer)
                                ? packed(q)
                                : narrowed(q, t.quantizer.bits > 8));
      scales.insert(scales.end(), t.scale.begin(), t.scale.end());
      zero_points.insert(zero_points.end(), t.zero_point.begin(),
                         t.zero_point.end());
      if (is_packed(t.quantizer)) {
        packed_shapes.push_back(t.shape);
        entry.shape = {static_cast<int64_t>(out.storage.back().size())};
      }
      entry.data = out.storage.back();
    } else if (t.quantizer.format != Format::kF32) {
      out.storage.push_back(half_bytes(t));
      entry.data = out.storage.back();
    }
    out.entries.push_back(std::move(entry));
  }
  const auto add = [&](const char* name, DType dtype, auto& values) {
    if (values.empty()) return;
    out.storage.push_back(bytes_of(values));
    out.entries.push_back({.name = name,
                           .dtype = dtype,
                           .shape = {static_cast<int64_t>(values.size())},
                           .data = out.storage.back()});
  };
  add(kScaleTensor, DType::kF32, scales);
  add(kZeroPointTensor, DType::kS32, zero_points);
  if (!packed_shapes.empty())
    out.metadata[kPackedShapesKey] = shapes_text(packed_shapes);
  return out;
}

}  // namespace ft
