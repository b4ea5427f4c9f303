#include "train/merge_adapted.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/file.h"
#include "base/hash.h"
#include "formats/tflite/import.h"

namespace ft {
namespace {

Result<float> metadata_float(const Adapter& adapter, const char* key) {
  const std::string text = adapter.get(key);
  float value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return invalid_input(
        fmt::format("adapter metadata '{}' is missing or malformed", key));
  return value;
}

Result<std::optional<AnswerRange>> answer_range(
    std::span<const LoadedAdapter> adapters) {
  std::optional<AnswerRange> range;
  for (const LoadedAdapter& a : adapters) {
    if (a.method.weight == 0 || a.adapter.get("answer_low").empty()) continue;
    FT_TRY(const float low, metadata_float(a.adapter, "answer_low"));
    FT_TRY(const float high, metadata_float(a.adapter, "answer_high"));
    if (!range) range = {low, high};
    range = {std::min(low, range->low), std::max(high, range->high)};
  }
  return range;
}

}  // namespace

Result<MergeInput> merge_input(std::span<const LoadedAdapter> adapters) {
  MergeInput input;
  for (const LoadedAdapter& a : adapters) {
    AdapterPart part{.method = a.method, .tensors = {}};
    for (const AdapterEntry& t : a.adapter.tensors)
      part.tensors[t.name] = t.values;
    input.adapters.push_back(std::move(part));
  }
  FT_TRY(input.answer_range, answer_range(adapters));
  return input;
}

Result<std::vector<std::byte>> merged_tflite_file(
    const std::string& path, const MergeInput& input,
    const std::string& base_sha256) {
  FT_TRY(const MappedFile original, MappedFile::open(path));
  if (const std::string now = sha256_hex(original.bytes());
      !base_sha256.empty() && now != base_sha256)
    return invalid_input(
        fmt::format("the base model '{}' has changed since it was loaded "
                    "(sha256 {}, now {})",
                    path, base_sha256, now));
  FT_TRY(const TfliteModel deployed,
         import_tflite(original.bytes(), {.batch = 1}));
  return merged_tflite(original.bytes(), deployed, input);
}

}  // namespace ft
