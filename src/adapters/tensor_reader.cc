#include "adapters/tensor_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "adapters/stored_tensor.h"
#include "base/half.h"

namespace ft {
namespace {

using Format = Quantizer::Format;

// Of a packed tensor, and of the other axes of an empty one: products of axes
// must not overflow anywhere.
constexpr int64_t kMostValues = int64_t{1} << 31;

// The product of all axes but empty ones; at most kMostValues.
int64_t bounded_count(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t d : shape.dims())
    if (d > 0) count = std::min(count * std::min(d, kMostValues), kMostValues);
  return count;
}

// What shapes_text() (stored_tensor.cc) wrote: "4x64 64x4".
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

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

template <class T>
std::vector<T> values_of(const SafetensorsEntry& entry) {
  std::vector<T> values(entry.data.size() / sizeof(T));
  if (!values.empty())
    std::memcpy(values.data(), entry.data.data(), entry.data.size());
  return values;
}

void read_float(const SafetensorsEntry& entry, AdapterEntry& t) {
  if (entry.dtype == DType::kF32) {
    t.values = values_of<float>(entry);
    return;
  }
  const bool f16 = entry.dtype == DType::kF16;
  for (const uint16_t bits : values_of<uint16_t>(entry))
    t.values.push_back(f16 ? ft_half_to_float(bits)
                           : ft_bfloat16_to_float(bits));
}

}  // namespace

template <class Fn>
Status TensorReader::for_each(const Fn& fn) {
  for (size_t i = 0; i < entries_.size(); ++i) {
    Status status = fn(*entries_[i], tensors_[i]);
    if (!status.ok())
      return status.in(fmt::format("tensor '{}'", entries_[i]->name));
  }
  return ok_status();
}

Status TensorReader::read_quantizer() {
  const auto text = file_.metadata.find(kQuantizerKey);
  if (text != file_.metadata.end()) {
    const auto parsed = parse_quantizer(text->second);
    if (!parsed.ok())
      return invalid_input(
          fmt::format("metadata 'quantizer': {}", parsed.status().message()));
    if (!parsed->is_integer())
      return invalid_input("metadata 'quantizer' names no integers");
    quantizer_ = *parsed;
    FT_TRY_STATUS(read_steps());
  }
  for (const SafetensorsEntry& entry : file_.tensors)
    if (!quantizer_ ||
        (entry.name != kScaleTensor && entry.name != kZeroPointTensor))
      entries_.push_back(&entry);
  tensors_.resize(entries_.size());
  return for_each([&](const SafetensorsEntry& entry, AdapterEntry& t) {
    t.name = entry.name;
    if (entry.dtype == DType::kF16) t.quantizer.format = Format::kF16;
    if (entry.dtype == DType::kBF16) t.quantizer.format = Format::kBF16;
    if (is_float(entry.dtype)) return ok_status();
    t.quantizer = quantizer_.value_or(t.quantizer);
    return check_dtype(entry);
  });
}

Status TensorReader::check_dtype(const SafetensorsEntry& entry) const {
  if (!quantizer_)
    return invalid_input(fmt::format("{}, but metadata 'quantizer' is missing",
                                     name_of(entry.dtype)));
  if (entry.dtype == stored_dtype(*quantizer_)) return ok_status();
  return invalid_input(fmt::format("{}, but the quantizer is {}",
                                   name_of(entry.dtype),
                                   quantizer_->to_string()));
}

Status TensorReader::read_steps() {
  FT_TRY(const SafetensorsEntry* scale, find_steps(kScaleTensor, DType::kF32));
  scales_ = values_of<float>(*scale);
  for (const float s : scales_)
    if (!(s > 0 && std::isfinite(s)))
      return invalid_input(
          fmt::format("tensor '{}' holds {}, not a step", kScaleTensor, s));
  if (quantizer_->symmetric) return ok_status();
  FT_TRY(const SafetensorsEntry* zero,
         find_steps(kZeroPointTensor, DType::kS32));
  zero_points_ = values_of<int32_t>(*zero);
  for (const int32_t z : zero_points_)
    if (z < quantizer_->qmin() || z > quantizer_->qmax())
      return invalid_input(
          fmt::format("tensor '{}' holds {}, which {} cannot be",
                      kZeroPointTensor, z, quantizer_->to_string()));
  if (zero_points_.size() == scales_.size()) return ok_status();
  return invalid_input(fmt::format("{} steps, but {} zero points",
                                   scales_.size(), zero_points_.size()));
}

Result<const SafetensorsEntry*> TensorReader::find_steps(const char* name,
                                                         DType dtype) {
  const SafetensorsEntry* entry = file_.find(name);
  if (entry != nullptr && entry->dtype == dtype) return entry;
  return invalid_input(
      fmt::format("there is no {} tensor '{}'", name_of(dtype), name));
}

Status TensorReader::read_shapes() {
  const auto packed = file_.metadata.find(kPackedShapesKey);
  if (quantizer_ && packed != file_.metadata.end()) {
    auto list = parse_shapes(packed->second);
    if (!list.ok()) return Status(list.status()).in("metadata 'packed_shapes'");
    shapes_ = std::move(list).value();
  }
  FT_TRY_STATUS(for_each([&](const SafetensorsEntry& entry, AdapterEntry& t) {
    return read_shape(entry, t);
  }));
  if (next_step_ == scales_.size() && next_shape_ == shapes_.size())
    return ok_status();
  return invalid_input(fmt::format(
      "{} steps and {} packed shapes for integer tensors that take {} and {}",
      scales_.size(), shapes_.size(), next_step_, next_shape_));
}

Status TensorReader::read_shape(const SafetensorsEntry& entry,
                                AdapterEntry& t) {
  if (entry.shape.size() > Shape::kMaxRank)
    return invalid_input(fmt::format("rank {}, at most {} fits",
                                     entry.shape.size(), Shape::kMaxRank));
  t.shape = Shape(std::span(entry.shape));
  if (entry.data.empty() && bounded_count(t.shape) == kMostValues)
    return invalid_input(
        fmt::format("empty, but of shape {}", t.shape.to_string()));
  if (!t.quantizer.is_integer()) return ok_status();
  if (entry.data.empty())
    return invalid_input("an integer tensor without values");
  if (is_packed(t.quantizer)) FT_TRY_STATUS(take_packed_shape(entry, t));
  const QuantGroups groups = groups_of(t.quantizer, t.shape);
  return take_steps(static_cast<size_t>(groups.groups), t);
}

Status TensorReader::take_packed_shape(const SafetensorsEntry& entry,
                                       AdapterEntry& t) {
  if (next_shape_ == shapes_.size())
    return invalid_input("metadata 'packed_shapes' has no shape for it");
  t.shape = shapes_[next_shape_++];
  const int64_t count = bounded_count(t.shape);
  if (entry.shape.size() == 1 && (count + 1) / 2 == entry.shape[0] &&
      count < kMostValues)
    return ok_status();
  return invalid_input(fmt::format("{} bytes do not hold {} packed integers",
                                   entry.data.size(), t.shape.to_string()));
}

Status TensorReader::take_steps(size_t count, AdapterEntry& t) {
  if (count > scales_.size() - next_step_)
    return invalid_input(
        fmt::format("tensor '{}' ends before it", kScaleTensor));
  const auto part = [&](const auto& all, auto& to) {
    const auto at = all.begin() + static_cast<ptrdiff_t>(next_step_);
    to.assign(at, at + static_cast<ptrdiff_t>(count));
  };
  part(scales_, t.scale);
  if (!t.quantizer.symmetric) part(zero_points_, t.zero_point);
  next_step_ += count;
  return ok_status();
}

Status TensorReader::read_values() {
  return for_each([&](const SafetensorsEntry& entry, AdapterEntry& t) {
    if (t.quantizer.is_integer())
      FT_TRY_STATUS(read_integers(entry, t));
    else
      read_float(entry, t);
    for (size_t i = 0; i < t.values.size(); ++i)
      if (!std::isfinite(t.values[i]))
        return invalid_input(
            fmt::format("holds {} at element {}", t.values[i], i));
    return ok_status();
  });
}

Status TensorReader::read_integers(const SafetensorsEntry& entry,
                                   AdapterEntry& t) const {
  const Quantizer& q = t.quantizer;
  const QuantGroups groups = groups_of(q, t.shape);
  t.values.resize(static_cast<size_t>(t.shape.num_elements()));
  for (size_t i = 0; i < t.values.size(); ++i) {
    const int32_t n = integer_at(entry, i);
    if (n < q.qmin() || n > q.qmax())
      return invalid_input(fmt::format(
          "holds {} at element {}, which {} cannot be", n, i, q.to_string()));
    const auto g =
        static_cast<size_t>(groups.group_of(static_cast<int64_t>(i)));
    const int32_t zero = t.zero_point.empty() ? 0 : t.zero_point[g];
    t.values[i] = static_cast<float>(n - zero) * t.scale[g];
  }
  return ok_status();
}

int32_t TensorReader::integer_at(const SafetensorsEntry& entry,
                                 size_t i) const {
  if (is_packed(*quantizer_)) {
    const int half = static_cast<int>(entry.data[i / 2]) >> (i % 2 * 4) & 15;
    return half >= 8 ? half - 16 : half;
  }
  if (quantizer_->bits <= 8) return static_cast<int8_t>(entry.data[i]);
  int16_t q = 0;
  std::memcpy(&q, entry.data.data() + i * sizeof(q), sizeof(q));
  return q;
}

Result<std::vector<AdapterEntry>> restore_tensors(const Safetensors& file) {
  TensorReader reader(file);
  FT_TRY_STATUS(reader.read_quantizer());
  FT_TRY_STATUS(reader.read_shapes());
  FT_TRY_STATUS(reader.read_values());
  return reader.take();
}

}  // namespace ft
