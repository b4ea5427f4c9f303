#include "data/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

static_assert(std::endian::native == std::endian::little,
              "array bytes are used in place and are little-endian");

namespace ft {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxRank = 32;

struct Descr {
  DType dtype;
  std::string_view text;
};
constexpr Descr kDescrs[] = {
    {DType::kF32, "<f4"}, {DType::kF64, "<f8"},  {DType::kS8, "|i1"},
    {DType::kU8, "|u1"},  {DType::kS16, "<i2"},  {DType::kS32, "<i4"},
    {DType::kS64, "<i8"}, {DType::kBool, "|b1"},
};

// Reads the header, a Python dict literal of exactly three known keys.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  Result<NpyView> parse() {
    NpyView out;
    bool has_descr = false, has_order = false, has_shape = false;
    if (!take('{')) return malformed();
    while (!take('}')) {
      const std::optional<std::string_view> key = quoted();
      if (!key || !take(':')) return malformed();
      if (*key == "descr" && !std::exchange(has_descr, true)) {
        FT_TRY(out.dtype, descr());
      } else if (*key == "fortran_order" && !std::exchange(has_order, true)) {
        if (take_word("True"))
          return invalid_input(
              "npy: Fortran order is not supported; save with C order");
        if (!take_word("False")) return malformed();
      } else if (*key == "shape" && !std::exchange(has_shape, true)) {
        FT_TRY(out.shape, shape());
      } else {
        return malformed();
      }
      if (!take(',') && !peek('}')) return malformed();
    }
    skip_space();
    if (at_ != text_.size() || !has_descr || !has_order || !has_shape)
      return malformed();
    return out;
  }

 private:
  Status malformed() const {
    return invalid_input(
        fmt::format("npy: malformed header near byte {}", at_));
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n'))
      ++at_;
  }
  bool peek(char c) {
    skip_space();
    return at_ < text_.size() && text_[at_] == c;
  }
  bool take(char c) {
    if (!peek(c)) return false;
    ++at_;
    return true;
  }
  bool take_word(std::string_view word) {
    skip_space();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  std::optional<std::string_view> quoted() {
    skip_space();
    if (!peek('\'') && !peek('"')) return std::nullopt;
    const size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view out = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return out;
  }
  Result<DType> descr() {
    const std::optional<std::string_view> text = quoted();
    if (!text) return invalid_input("npy: structured types are not supported");
    for (const Descr& row : kDescrs)
      if (row.text == *text) return row.dtype;
    return invalid_input(
        fmt::format("npy: unsupported element type '{}'", text->substr(0, 32)));
  }
  Result<std::vector<int64_t>> shape() {
    std::vector<int64_t> dims;
    if (!take('(')) return malformed();
    while (!take(')')) {
      skip_space();
      int64_t d = 0;
      const char* begin = text_.data() + at_;
      const auto [end, error] =
          std::from_chars(begin, text_.data() + text_.size(), d);
      if (error != std::errc() || d < 0 || dims.size() == kMaxRank)
        return malformed();
      at_ += static_cast<size_t>(end - begin);
      dims.push_back(d);
      if (!take(',') && !peek(')')) return malformed();
    }
    return dims;
  }

  std::string_view text_;
  size_t at_ = 0;
};

std::optional<size_t> byte_count(DType dtype, std::span<const int64_t> shape) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  size_t bytes = size_of(dtype);
  for (const int64_t d : shape)
    if (d < 0 || __builtin_mul_overflow(bytes, static_cast<size_t>(d), &bytes))
      return std::nullopt;
  return bytes;
}

template <class From, class To>
std::vector<To> converted(std::span<const std::byte> data) {
  std::vector<To> out(data.size() / sizeof(From));
  for (size_t i = 0; i < out.size(); ++i) {
    From value;
    std::memcpy(&value, data.data() + i * sizeof(From), sizeof(From));
    // NOLINTNEXTLINE(bugprone-signed-char-misuse): int8 keeps its sign
    out[i] = static_cast<To>(value);
  }
  return out;
}

}  // namespace

Result<NpyView> parse_npy(std::span<const std::byte> file) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()),
                              file.size());
  if (file.size() < 10 || !text.starts_with(kMagic))
    return invalid_input("npy: not an .npy file");
  const auto version = std::to_integer<int>(file[6]);
  if (version < 1 || version > 3)
    return invalid_input(fmt::format("npy: unknown version {}", version));
  const size_t length_bytes = version == 1 ? 2 : 4;
  const size_t start = 8 + length_bytes;
  if (file.size() < start) return invalid_input("npy: truncated header");
  uint32_t length = 0;
  std::memcpy(&length, file.data() + 8, length_bytes);
  if (length > file.size() - start)
    return invalid_input(
        fmt::format("npy: header length {} in {} bytes", length, file.size()));
  FT_TRY(NpyView out, HeaderParser(text.substr(start, length)).parse());
  out.data = file.subspan(start + length);
  const std::optional<size_t> need = byte_count(out.dtype, out.shape);
  if (!need || *need != out.data.size())
    return invalid_input(fmt::format(
        "npy: shape [{}] of {} does not fill the file's {} data bytes",
        fmt::join(out.shape, ","), name_of(out.dtype), out.data.size()));
  return out;
}

Result<std::vector<std::byte>> write_npy(DType dtype,
                                         std::span<const int64_t> shape,
                                         std::span<const std::byte> data) {
  const auto* row =
      std::find_if(std::begin(kDescrs), std::end(kDescrs),
                   [&](const Descr& d) { return d.dtype == dtype; });
  const std::optional<size_t> need = byte_count(dtype, shape);
  if (row == std::end(kDescrs) || shape.size() > kMaxRank || !need ||
      *need != data.size())
    return usage_error(
        fmt::format("npy: cannot write {} bytes as {} of shape [{}]",
                    data.size(), name_of(dtype), fmt::join(shape, ",")));
  std::string header = fmt::format(
      "{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", row->text,
      fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 10 - 1, ' ');
  header += '\n';
  std::string head(kMagic);
  head += {'\x01', '\x00', static_cast<char>(header.size() & 0xff),
           static_cast<char>(header.size() >> 8)};
  head += header;
  const auto head_bytes = std::as_bytes(std::span(head.data(), head.size()));
  std::vector<std::byte> out(head_bytes.begin(), head_bytes.end());
  out.insert(out.end(), data.begin(), data.end());
  return out;
}

std::vector<float> npy_floats(const NpyView& array) {
  switch (array.dtype) {
    case DType::kF32: return converted<float, float>(array.data);
    case DType::kF64: return converted<double, float>(array.data);
    case DType::kS8: return converted<int8_t, float>(array.data);
    case DType::kS16: return converted<int16_t, float>(array.data);
    case DType::kS32: return converted<int32_t, float>(array.data);
    case DType::kS64: return converted<int64_t, float>(array.data);
    default: return converted<uint8_t, float>(array.data);  // kU8, kBool
  }
}

Result<std::vector<int64_t>> npy_integers(const NpyView& array) {
  switch (array.dtype) {
    case DType::kS8: return converted<int8_t, int64_t>(array.data);
    case DType::kS16: return converted<int16_t, int64_t>(array.data);
    case DType::kS32: return converted<int32_t, int64_t>(array.data);
    case DType::kS64: return converted<int64_t, int64_t>(array.data);
    case DType::kU8:
    case DType::kBool: return converted<uint8_t, int64_t>(array.data);
    default:
      return invalid_input(fmt::format("npy: integers expected, found {}",
                                       name_of(array.dtype)));
  }
}

}  // namespace ft
