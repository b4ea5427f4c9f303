#include "adapters/stored_tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/half.h"

namespace ft {
namespace {

using Format = Quantizer::Format;

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

// "4x64 64x4" and back.
std::string shapes_text(const std::vector<Shape>& shapes) {
  std::vector<std::string> texts;
  for (const Shape& s : shapes)
    texts.push_back(fmt::format("{}", fmt::join(s.dims(), "x")));
  return fmt::format("{}", fmt::join(texts, " "));
}

Result<std::vector<Shape>> parse_shapes(std::string_view text) {
  std::vector<Shape> shapes;
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(' '));
    std::vector<int64_t> dims;
    for (size_t at = 0; at < one.size();) {
      int64_t dim = 0;
      const auto [end, error] =
          std::from_chars(one.data() + at, one.data() + one.size(), dim);
      if (error != std::errc() || dim < 1 || dim > INT32_MAX ||
          dims.size() == Shape::kMaxRank)
        return invalid_input(fmt::format("'{}' is not a shape", one));
      dims.push_back(dim);
      at = static_cast<size_t>(end - one.data());
      if (at < one.size() && (one[at++] != 'x' || at == one.size()))
        return invalid_input(fmt::format("'{}' is not a shape", one));
    }
    shapes.emplace_back(std::span<const int64_t>(dims));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
  }
  return shapes;
}

// Reads the tensors of one file; the steps and packed shapes come in their
// order.
class Restorer {
 public:
  explicit Restorer(const Safetensors& file) : file_(file) {}

  Result<std::vector<AdapterEntry>> run() {
    FT_TRY_STATUS(read_metadata());
    std::vector<AdapterEntry> tensors;
    for (const SafetensorsEntry& entry : file_.tensors) {
      if (has_quantizer_ &&
          (entry.name == kScaleTensor || entry.name == kZeroPointTensor))
        continue;
      auto t = restore(entry);
      if (!t.ok())
        return Status(t.status()).in(fmt::format("tensor '{}'", entry.name));
      tensors.push_back(std::move(t).value());
    }
    if (next_step_ != scales_.size() || next_shape_ != shapes_.size())
      return invalid_input(fmt::format(
          "{} steps and {} packed shapes for integer tensors that take {} and "
          "{}",
          scales_.size(), shapes_.size(), next_step_, next_shape_));
    return tensors;
  }

 private:
  Status read_metadata() {
    const auto text = file_.metadata.find(kQuantizerKey);
    has_quantizer_ = text != file_.metadata.end();
    if (!has_quantizer_) return ok_status();
    const auto parsed = parse_quantizer(text->second);
    if (!parsed.ok())
      return invalid_input(
          fmt::format("metadata 'quantizer': {}", parsed.status().message()));
    quantizer_ = parsed.value();
    if (!quantizer_.is_integer())
      return invalid_input("metadata 'quantizer' names no integers");
    FT_TRY_STATUS(read_steps());
    const auto shapes = file_.metadata.find(kPackedShapesKey);
    if (shapes == file_.metadata.end()) return ok_status();
    auto list = parse_shapes(shapes->second);
    if (!list.ok()) return Status(list.status()).in("metadata 'packed_shapes'");
    shapes_ = std::move(list).value();
    return ok_status();
  }

  Status read_steps() {
    FT_TRY(const SafetensorsEntry* scale,
           find_steps(kScaleTensor, DType::kF32));
    scales_.resize(scale->data.size() / sizeof(float));
    if (!scales_.empty())
      std::memcpy(scales_.data(), scale->data.data(), scale->data.size());
    for (const float s : scales_)
      if (!(s > 0 && std::isfinite(s)))
        return invalid_input(
            fmt::format("tensor '{}' holds {}, not a step", kScaleTensor, s));
    if (quantizer_.symmetric) return ok_status();
    FT_TRY(const SafetensorsEntry* zero,
           find_steps(kZeroPointTensor, DType::kS32));
    zero_points_.resize(zero->data.size() / sizeof(int32_t));
    if (!zero_points_.empty())
      std::memcpy(zero_points_.data(), zero->data.data(), zero->data.size());
    for (const int32_t z : zero_points_)
      if (z < quantizer_.qmin() || z > quantizer_.qmax())
        return invalid_input(
            fmt::format("tensor '{}' holds {}, which {} cannot be",
                        kZeroPointTensor, z, quantizer_.to_string()));
    if (zero_points_.size() == scales_.size()) return ok_status();
    return invalid_input(fmt::format("{} steps, but {} zero points",
                                     scales_.size(), zero_points_.size()));
  }

  Result<const SafetensorsEntry*> find_steps(const char* name, DType dtype) {
    const SafetensorsEntry* entry = file_.find(name);
    if (entry != nullptr && entry->dtype == dtype) return entry;
    return invalid_input(
        fmt::format("there is no {} tensor '{}'", name_of(dtype), name));
  }

  Result<AdapterEntry> restore(const SafetensorsEntry& entry) {
    AdapterEntry t{.name = entry.name, .shape = {}, .values = {}};
    if (entry.shape.size() > Shape::kMaxRank)
      return invalid_input(fmt::format("rank {}, at most {} fits",
                                       entry.shape.size(), Shape::kMaxRank));
    t.shape = Shape(std::span(entry.shape));
    const bool is_float = entry.dtype == DType::kF32 ||
                          entry.dtype == DType::kF16 ||
                          entry.dtype == DType::kBF16;
    if (is_float)
      restore_float(entry, t);
    else
      FT_TRY_STATUS(restore_integers(entry, t));
    for (size_t i = 0; i < t.values.size(); ++i)
      if (!std::isfinite(t.values[i]))
        return invalid_input(
            fmt::format("holds {} at element {}", t.values[i], i));
    return t;
  }

  static void restore_float(const SafetensorsEntry& entry, AdapterEntry& t) {
    const size_t size = size_of(entry.dtype);
    t.values.resize(entry.data.size() / size);
    if (entry.dtype == DType::kF32) {
      if (!t.values.empty())
        std::memcpy(t.values.data(), entry.data.data(), entry.data.size());
      return;
    }
    const bool f16 = entry.dtype == DType::kF16;
    t.quantizer.format = f16 ? Format::kF16 : Format::kBF16;
    for (size_t i = 0; i < t.values.size(); ++i) {
      uint16_t bits = 0;
      std::memcpy(&bits, entry.data.data() + i * size, size);
      t.values[i] = f16 ? ft_half_to_float(bits) : ft_bfloat16_to_float(bits);
    }
  }

  Status restore_integers(const SafetensorsEntry& entry, AdapterEntry& t) {
    if (!has_quantizer_)
      return invalid_input(fmt::format(
          "{}, but metadata 'quantizer' is missing", name_of(entry.dtype)));
    if (entry.dtype != stored_dtype(quantizer_))
      return invalid_input(fmt::format("{}, but the quantizer is {}",
                                       name_of(entry.dtype),
                                       quantizer_.to_string()));
    if (is_packed(quantizer_)) FT_TRY_STATUS(take_shape(entry, t));
    if (t.shape.num_elements() == 0)
      return invalid_input("an integer tensor without values");
    t.quantizer = quantizer_;
    const QuantGroups groups = groups_of(quantizer_, t.shape);
    FT_TRY_STATUS(take_steps(static_cast<size_t>(groups.groups), t));
    t.values.resize(static_cast<size_t>(t.shape.num_elements()));
    for (size_t i = 0; i < t.values.size(); ++i) {
      const int32_t q = integer_at(entry, i);
      const auto g =
          static_cast<size_t>(groups.group_of(static_cast<int64_t>(i)));
      if (q < quantizer_.qmin() || q > quantizer_.qmax())
        return invalid_input(
            fmt::format("holds {} at element {}, which {} "
                        "cannot be",
                        q, i, quantizer_.to_string()));
      const int32_t z = t.zero_point.empty() ? 0 : t.zero_point[g];
      t.values[i] = static_cast<float>(q - z) * t.scale[g];
    }
    return ok_status();
  }

  Status take_shape(const SafetensorsEntry& entry, AdapterEntry& t) {
    if (next_shape_ == shapes_.size())
      return invalid_input("metadata 'packed_shapes' has no shape for it");
    t.shape = shapes_[next_shape_++];
    int64_t count = 1;
    for (const int64_t d : t.shape.dims()) count = std::min(count * d, kMost);
    if (entry.shape.size() == 1 && (count + 1) / 2 == entry.shape[0] &&
        count < kMost)
      return ok_status();
    return invalid_input(fmt::format("{} bytes do not hold {} packed integers",
                                     entry.data.size(), t.shape.to_string()));
  }

  Status take_steps(size_t count, AdapterEntry& t) {
    if (count > scales_.size() - next_step_)
      return invalid_input(
          fmt::format("tensor '{}' ends before it", kScaleTensor));
    const auto part = [&](const auto& all, auto& to) {
      const auto at = all.begin() + static_cast<ptrdiff_t>(next_step_);
      to.assign(at, at + static_cast<ptrdiff_t>(count));
    };
    part(scales_, t.scale);
    if (!quantizer_.symmetric) part(zero_points_, t.zero_point);
    next_step_ += count;
    return ok_status();
  }

  int32_t integer_at(const SafetensorsEntry& entry, size_t i) const {
    if (is_packed(quantizer_)) {
      const int half = static_cast<int>(entry.data[i / 2]) >> (i % 2 * 4) & 15;
      return half >= 8 ? half - 16 : half;
    }
    if (quantizer_.bits <= 8) return static_cast<int8_t>(entry.data[i]);
    int16_t q = 0;
    std::memcpy(&q, entry.data.data() + i * sizeof(q), sizeof(q));
    return q;
  }

  static constexpr int64_t kMost = int64_t{1} << 31;

  const Safetensors& file_;
  bool has_quantizer_ = false;
  Quantizer quantizer_;
  std::vector<float> scales_;
  std::vector<int32_t> zero_points_;
  std::vector<Shape> shapes_;
  size_t next_step_ = 0, next_shape_ = 0;
};

}  // namespace

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

Result<std::vector<AdapterEntry>> restore_tensors(const Safetensors& file) {
  return Restorer(file).run();
}

}  // namespace ft
