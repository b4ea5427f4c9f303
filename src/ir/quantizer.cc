#include "ir/quantizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace ft {
namespace {

constexpr int64_t kLargestBlock = 1 << 20;

// The whole of `text` as a number, or -1.
int64_t number_of(std::string_view text) {
  int64_t value = -1;
  const char* end = text.data() + text.size();
  if (std::from_chars(text.data(), end, value).ptr != end) return -1;
  return value;
}

std::string per_name(const Quantizer& q) {
  switch (q.per) {
    case Quantizer::Per::kTensor: return "tensor";
    case Quantizer::Per::kChannel: return "channel";
    case Quantizer::Per::kBlock: break;
  }
  return fmt::format("block{}", q.block);
}

}  // namespace

std::string Quantizer::dtype_name() const {
  switch (format) {
    case Format::kF32: return "float32";
    case Format::kF16: return "float16";
    case Format::kBF16: return "bfloat16";
    case Format::kInteger: break;
  }
  return fmt::format("int{}", bits);
}

std::string Quantizer::to_string() const {
  if (!is_integer()) return dtype_name();
  return fmt::format("{}/{}{}", dtype_name(), symmetric ? "" : "asymmetric/",
                     per_name(*this));
}

QuantGroups groups_of(const Quantizer& q, const Shape& shape) {
  const int64_t count = std::max<int64_t>(shape.num_elements(), 1);
  if (!q.is_integer() || q.per == Quantizer::Per::kTensor || shape.rank() == 0)
    return {count, count, 1};
  if (q.per == Quantizer::Per::kBlock) {
    const int64_t block = std::min(q.block, count);
    return {count, block, (count + block - 1) / block};
  }
  int axis = q.axis;
  if (axis == Quantizer::kShorterAxis)
    axis = shape.rank() > 1 && shape[1] < shape[0] ? 1 : 0;
  int64_t inner = 1;
  for (int d = axis + 1; d < shape.rank(); ++d) inner *= shape[d];
  return {inner, inner, std::max<int64_t>(shape[axis], 1)};
}

Status parse_format(std::string_view word, Quantizer& q) {
  using Format = Quantizer::Format;
  constexpr std::pair<std::string_view, Format> kFloats[] = {
      {"f32", Format::kF32},   {"float32", Format::kF32},
      {"f16", Format::kF16},   {"float16", Format::kF16},
      {"bf16", Format::kBF16}, {"bfloat16", Format::kBF16}};
  for (const auto& [name, format] : kFloats) {
    if (word != name) continue;
    q.format = format;
    return ok_status();
  }
  const int64_t bits = word.starts_with("int") ? number_of(word.substr(3)) : -1;
  if ((bits < 2 || bits > 8) && bits != 16)
    return usage_error(fmt::format(
        "no dtype '{}'; there are: f32, f16, bf16, int2 to int8 and int16",
        word));
  q.format = Format::kInteger;
  q.bits = static_cast<int>(bits);
  return ok_status();
}

Status parse_granularity(std::string_view word, Quantizer& q) {
  if (word == "tensor" || word == "channel") {
    q.per =
        word == "tensor" ? Quantizer::Per::kTensor : Quantizer::Per::kChannel;
    return ok_status();
  }
  const int64_t block =
      word.starts_with("block") ? number_of(word.substr(5)) : -1;
  if (block < 1 || block > kLargestBlock)
    return usage_error(
        fmt::format("no granularity '{}'; there are: tensor, channel and "
                    "block<size>, such as block32",
                    word));
  q.per = Quantizer::Per::kBlock;
  q.block = block;
  return ok_status();
}

Result<Quantizer> parse_quantizer(std::string_view text) {
  Quantizer q;
  const size_t first = text.find('/');
  FT_TRY_STATUS(parse_format(text.substr(0, first), q));
  if (first == std::string_view::npos) return q;
  std::string_view rest = text.substr(first + 1);
  constexpr std::string_view kAsymmetric = "asymmetric/";
  if (rest.starts_with(kAsymmetric)) {
    q.symmetric = false;
    rest.remove_prefix(kAsymmetric.size());
  }
  FT_TRY_STATUS(parse_granularity(rest, q));
  return q;
}

}  // namespace ft
