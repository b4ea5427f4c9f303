#include "formats/safetensors/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

static_assert(std::endian::native == std::endian::little,
              "tensor bytes are used in place and are little-endian");

namespace ft {
namespace {

using nlohmann::json;

constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxRank = 32;
constexpr std::string_view kMetadataKey = "__metadata__";

struct DTypeName {
  DType dtype;
  std::string_view name;
};
constexpr DTypeName kDTypeNames[] = {
    {DType::kF64, "F64"},   {DType::kS64, "I64"}, {DType::kF32, "F32"},
    {DType::kS32, "I32"},   {DType::kF16, "F16"}, {DType::kBF16, "BF16"},
    {DType::kS16, "I16"},   {DType::kS8, "I8"},   {DType::kU8, "U8"},
    {DType::kBool, "BOOL"},
};

std::optional<DType> dtype_of(std::string_view name) {
  for (const DTypeName& row : kDTypeNames)
    if (row.name == name) return row.dtype;
  return std::nullopt;
}

std::string_view file_name_of(DType dtype) {
  for (const DTypeName& row : kDTypeNames)
    if (row.dtype == dtype) return row.name;
  return "?";
}

// Bytes of a tensor, or nothing if the product does not fit in 63 bits.
std::optional<uint64_t> byte_count(DType dtype,
                                   std::span<const int64_t> shape) {
  // A zero anywhere makes the product zero, however large the rest is.
  for (const int64_t d : shape)
    if (d == 0) return 0;
  uint64_t bytes = size_of(dtype);
  for (const int64_t d : shape) {
    if (d < 0 ||
        __builtin_mul_overflow(bytes, static_cast<uint64_t>(d), &bytes))
      return std::nullopt;
  }
  if (bytes > uint64_t{std::numeric_limits<int64_t>::max()})
    return std::nullopt;
  return bytes;
}

// One tensor as the header describes it, before it is checked against the
// bytes that follow.
struct HeaderEntry {
  std::string name;
  std::optional<DType> dtype;
  std::optional<std::vector<int64_t>> shape;
  std::optional<std::vector<int64_t>> offsets;
};

// Reads the header as events, so that duplicate keys are seen and nothing but
// the expected structure is ever stored. A false return ends the parse with
// `error` set. nlohmann's parser keeps its own explicit stack, so nesting
// cannot exhaust ours.
class HeaderReader : public nlohmann::json_sax<json> {
 public:
  SafetensorsMetadata metadata;
  std::vector<HeaderEntry> entries;
  std::string error;

  bool start_object(size_t) override {
    switch (where_) {
      case Where::kStart: where_ = Where::kTop; return true;
      case Where::kTopValue:
        where_ = key_ == kMetadataKey ? Where::kMetadata : Where::kEntry;
        if (where_ == Where::kEntry) {
          entries.emplace_back().name = key_;
          if (!names_.insert(key_).second) return duplicate(key_);
        } else if (std::exchange(has_metadata_, true)) {
          return duplicate(key_);
        }
        return true;
      default: return unexpected("an object");
    }
  }
  bool end_object() override {
    where_ = where_ == Where::kTop ? Where::kEnd : Where::kTop;
    return true;
  }
  bool key(string_t& name) override {
    key_ = name;
    if (where_ == Where::kTop) where_ = Where::kTopValue;
    if (where_ == Where::kMetadata) {
      if (metadata.contains(name)) return duplicate(name);
    }
    return true;
  }
  bool string(string_t& text) override {
    if (where_ == Where::kMetadata) {
      metadata.emplace(key_, text);
      return true;
    }
    if (where_ != Where::kEntry || key_ != "dtype")
      return unexpected("a string");
    HeaderEntry& entry = entries.back();
    if (entry.dtype) return duplicate(key_);
    entry.dtype = dtype_of(text);
    if (!entry.dtype)
      return fail(fmt::format("tensor '{}' has unsupported dtype '{}'",
                              entry.name, text.substr(0, 32)));
    return true;
  }
  bool start_array(size_t) override {
    if (where_ != Where::kEntry) return unexpected("an array");
    HeaderEntry& entry = entries.back();
    auto* list = key_ == "shape"          ? &entry.shape
                 : key_ == "data_offsets" ? &entry.offsets
                                          : nullptr;
    if (list == nullptr) return unexpected("an array");
    if (*list) return duplicate(key_);
    numbers_ = &list->emplace();
    where_ = Where::kNumbers;
    return true;
  }
  bool end_array() override {
    where_ = Where::kEntry;
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (where_ != Where::kNumbers) return unexpected("a number");
    if (value > uint64_t{std::numeric_limits<int64_t>::max()})
      return unexpected("a number above 2^63 - 1");
    if (numbers_->size() == kMaxRank)
      return unexpected(fmt::format("more than {} numbers", kMaxRank));
    numbers_->push_back(static_cast<int64_t>(value));
    return true;
  }
  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) override {
    return unexpected("a negative number");
  }
  bool number_float(number_float_t, const string_t&) override {
    return unexpected("a fraction");
  }
  bool binary(binary_t&) override { return unexpected("binary data"); }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return fail(
        fmt::format("malformed JSON near byte {}", kLengthBytes + position));
  }

 private:
  enum class Where {
    kStart,
    kTop,
    kTopValue,
    kMetadata,
    kEntry,
    kNumbers,
    kEnd
  };

  bool fail(std::string message) {
    error = std::move(message);
    return false;
  }
  bool duplicate(std::string_view name) {
    return fail(fmt::format("duplicate key '{}'", name.substr(0, 200)));
  }
  bool unexpected(std::string_view what) {
    return fail(fmt::format("{} is not allowed at key '{}'", what,
                            std::string_view(key_).substr(0, 200)));
  }

  Where where_ = Where::kStart;
  std::string key_;
  std::set<std::string, std::less<>> names_;
  bool has_metadata_ = false;
  std::vector<int64_t>* numbers_ = nullptr;
};

// A tensor without its bytes, which lie among the data bytes.
struct Placed {
  SafetensorsEntry entry;
  size_t begin = 0, bytes = 0;
};

Result<Placed> check_entry(HeaderEntry&& entry, uint64_t data_bytes) {
  if (!entry.dtype || !entry.shape || !entry.offsets)
    return invalid_input(fmt::format(
        "tensor '{}' lacks dtype, shape or data_offsets", entry.name));
  const std::vector<int64_t>& range = *entry.offsets;
  if (range.size() != 2 || range[0] > range[1] ||
      static_cast<uint64_t>(range[1]) > data_bytes)
    return invalid_input(
        fmt::format("tensor '{}' has data_offsets outside the {} data bytes",
                    entry.name, data_bytes));
  const auto begin = static_cast<size_t>(range[0]);
  const auto bytes = static_cast<size_t>(range[1]) - begin;
  const std::optional<uint64_t> need = byte_count(*entry.dtype, *entry.shape);
  if (!need)
    return invalid_input(
        fmt::format("tensor '{}' has a shape above 2^63 bytes", entry.name));
  if (*need != bytes)
    return invalid_input(
        fmt::format("tensor '{}' needs {} bytes but data_offsets span {}",
                    entry.name, *need, bytes));
  return Placed{{.name = std::move(entry.name),
                 .dtype = *entry.dtype,
                 .shape = std::move(*entry.shape),
                 .data = {}},
                begin,
                bytes};
}

// Tensors sorted by offset must follow each other from the first data byte to
// the last.
Status check_coverage(std::span<const Placed> sorted, uint64_t data_bytes) {
  uint64_t next = 0;
  for (const Placed& t : sorted) {
    if (t.begin != next)
      return invalid_input(fmt::format(
          "tensor '{}' starts at data byte {} where {} was expected ({})",
          t.entry.name, t.begin, next, t.begin < next ? "overlap" : "hole"));
    next += t.bytes;
  }
  if (next != data_bytes)
    return invalid_input(
        fmt::format("{} bytes after the last tensor", data_bytes - next));
  return ok_status();
}

Status check_for_writing(std::span<const SafetensorsEntry> tensors) {
  std::set<std::string_view> names;
  for (const SafetensorsEntry& t : tensors) {
    if (t.name == kMetadataKey || !names.insert(t.name).second)
      return usage_error(
          fmt::format("tensor name '{}' is reserved or used twice", t.name));
    const std::optional<uint64_t> need = byte_count(t.dtype, t.shape);
    if (!need || *need != t.data.size() || t.shape.size() > kMaxRank)
      return usage_error(fmt::format(
          "tensor '{}' has {} bytes, which its dtype and shape do not give",
          t.name, t.data.size()));
  }
  return ok_status();
}

// json::dump refuses text that is not UTF-8 by throwing.
Result<std::string> quoted(const std::string& text) {
  try {
    return json(text).dump();
  } catch (const json::exception&) {
    return usage_error("a name or metadata value is not UTF-8 text");
  }
}

Result<std::string> header_text(std::span<const SafetensorsEntry> sorted,
                                const SafetensorsMetadata& metadata) {
  std::string text = "{";
  if (!metadata.empty()) {
    text += fmt::format("\"{}\":{{", kMetadataKey);
    for (const auto& [key, value] : metadata) {
      FT_TRY(const std::string k, quoted(key));
      FT_TRY(const std::string v, quoted(value));
      text += k + ":" + v + ",";
    }
    text.back() = '}';
    text += ',';
  }
  size_t offset = 0;
  for (const SafetensorsEntry& t : sorted) {
    FT_TRY(const std::string name, quoted(t.name));
    text += fmt::format(
        "{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}},",
        name, file_name_of(t.dtype), fmt::join(t.shape, ","), offset,
        offset + t.data.size());
    offset += t.data.size();
  }
  if (text.size() > 1) text.pop_back();
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');  // data begins 8-aligned
  if (text.size() > kMaxHeaderBytes)
    return usage_error(fmt::format("safetensors header of {} bytes exceeds {}",
                                   text.size(), kMaxHeaderBytes));
  return text;
}

}  // namespace

const SafetensorsEntry* Safetensors::find(std::string_view name) const {
  for (const SafetensorsEntry& t : tensors)
    if (t.name == name) return &t;
  return nullptr;
}

Result<size_t> safetensors_header_bytes(std::span<const std::byte> beginning,
                                        uint64_t file_bytes) {
  uint64_t header_bytes = 0;
  if (beginning.size() < kLengthBytes || file_bytes < kLengthBytes)
    return invalid_input(
        fmt::format("safetensors: {} bytes, too short for a header length",
                    std::min<uint64_t>(beginning.size(), file_bytes)));
  std::memcpy(&header_bytes, beginning.data(), kLengthBytes);
  if (header_bytes > file_bytes - kLengthBytes)
    return invalid_input(
        fmt::format("safetensors: header length {} in a file of {} bytes",
                    header_bytes, file_bytes));
  if (header_bytes > kMaxHeaderBytes)
    return invalid_input(
        fmt::format("safetensors: header length {}, where the format allows "
                    "{} bytes (the file has {})",
                    header_bytes, kMaxHeaderBytes, file_bytes));
  return static_cast<size_t>(header_bytes);
}

namespace {

Result<HeaderReader> read_header(std::span<const std::byte> header) {
  const auto* text = reinterpret_cast<const char*>(header.data());
  if (header.empty() || text[0] != '{')
    return invalid_input("safetensors: header does not start with '{'");
  HeaderReader reader;
  if (!json::sax_parse(text, text + header.size(), &reader))
    return invalid_input("safetensors: " + reader.error);
  return reader;
}

}  // namespace

Result<SafetensorsMetadata> parse_safetensors_metadata(
    std::span<const std::byte> header) {
  FT_TRY(HeaderReader reader, read_header(header));
  return std::move(reader.metadata);
}

namespace {

struct Layout {
  SafetensorsMetadata metadata;
  std::vector<Placed> tensors;  // in the order of their bytes
};

Result<Layout> read_layout(std::span<const std::byte> header,
                           uint64_t data_bytes) {
  FT_TRY(HeaderReader reader, read_header(header));
  Layout out{.metadata = std::move(reader.metadata), .tensors = {}};
  out.tensors.reserve(reader.entries.size());
  for (HeaderEntry& entry : reader.entries) {
    auto checked = check_entry(std::move(entry), data_bytes);
    if (!checked.ok()) return Status(checked.status()).in("safetensors");
    out.tensors.push_back(std::move(checked).value());
  }
  std::ranges::stable_sort(out.tensors, [](const Placed& a, const Placed& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.bytes < b.bytes;
  });
  Status coverage = check_coverage(out.tensors, data_bytes);
  if (!coverage.ok()) return coverage.in("safetensors");
  return out;
}

}  // namespace

Status check_safetensors_header(std::span<const std::byte> beginning,
                                uint64_t file_bytes) {
  FT_TRY(const size_t header, safetensors_header_bytes(beginning, file_bytes));
  if (beginning.size() - kLengthBytes < header)
    return invalid_input(fmt::format("safetensors: {} bytes of a header of {}",
                                     beginning.size() - kLengthBytes, header));
  return read_layout(beginning.subspan(kLengthBytes, header),
                     file_bytes - kLengthBytes - header)
      .status();
}

Result<Safetensors> parse_safetensors(std::span<const std::byte> file) {
  FT_TRY(const size_t header_bytes, safetensors_header_bytes(file));
  const auto header = file.subspan(kLengthBytes, header_bytes);
  const auto buffer = file.subspan(kLengthBytes + header_bytes);
  FT_TRY(Layout layout, read_layout(header, buffer.size()));
  Safetensors out{.metadata = std::move(layout.metadata), .tensors = {}};
  out.tensors.reserve(layout.tensors.size());
  for (Placed& t : layout.tensors) {
    t.entry.data = buffer.subspan(t.begin, t.bytes);
    out.tensors.push_back(std::move(t.entry));
  }
  return out;
}

Result<std::vector<std::byte>> write_safetensors(
    std::span<const SafetensorsEntry> tensors,
    const SafetensorsMetadata& metadata) {
  FT_TRY_STATUS(check_for_writing(tensors));
  std::vector<SafetensorsEntry> sorted(tensors.begin(), tensors.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) {
                     return size_of(a.dtype) > size_of(b.dtype);
                   });
  FT_TRY(const std::string header, header_text(sorted, metadata));
  std::vector<std::byte> out(kLengthBytes);
  const uint64_t header_bytes = header.size();
  std::memcpy(out.data(), &header_bytes, kLengthBytes);
  const auto text = std::as_bytes(std::span(header.data(), header.size()));
  out.insert(out.end(), text.begin(), text.end());
  for (const SafetensorsEntry& t : sorted)
    out.insert(out.end(), t.data.begin(), t.data.end());
  return out;
}

}  // namespace ft
