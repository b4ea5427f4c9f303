#include "adapters/adapter_file.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "adapters/stored_tensor.h"
#include "adapters/tensor_reader.h"

namespace ft {
namespace {

// 2: tensors may be integers with steps.
constexpr const char *kFormatVersion = "1", *kIntegerVersion = "2";

}  // namespace

std::vector<std::string> recorded_words(const Metadata& metadata,
                                        const std::string& key) {
  const auto at = metadata.find(key);
  if (at == metadata.end()) return {};
  const auto list = nlohmann::json::parse(at->second, nullptr, false);
  std::vector<std::string> words;
  if (list.is_array())
    for (const auto& w : list)
      if (w.is_string()) words.push_back(w.get<std::string>());
  return words;
}

std::string Adapter::get(const std::string& key) const {
  const auto at = metadata.find(key);
  return at == metadata.end() ? std::string() : at->second;
}

Result<uint64_t> adapter_version(const Metadata& metadata) {
  const auto at = metadata.find("version");
  if (at == metadata.end()) return uint64_t{0};
  const std::string& text = at->second;
  uint64_t version = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, version);
  if (error == std::errc() && rest == end && version > 0 && text[0] != '0')
    return version;
  return invalid_input(
      fmt::format("metadata 'version' is '{}', not a whole number from 1",
                  std::string_view(text).substr(0, 40)));
}

Result<std::vector<std::byte>> encode_adapter(const Adapter& adapter) {
  FT_TRY(const StoredTensors stored, store_tensors(adapter.tensors));
  SafetensorsMetadata metadata(adapter.metadata.begin(),
                               adapter.metadata.end());
  metadata.erase(kPackedShapesKey);
  metadata.erase(kQuantizerKey);
  metadata.insert(stored.metadata.begin(), stored.metadata.end());
  metadata["format_version"] =
      metadata.contains(kQuantizerKey) ? kIntegerVersion : kFormatVersion;
  return write_safetensors(stored.entries, metadata);
}

Result<Adapter> decode_foreign_adapter(std::span<const std::byte> file,
                                       const std::string& origin) {
  auto parsed = parse_safetensors(file);
  if (!parsed.ok()) return Status(parsed.status()).in(origin);
  Adapter adapter;
  adapter.metadata.insert(parsed->metadata.begin(), parsed->metadata.end());
  auto tensors = restore_tensors(*parsed);
  if (!tensors.ok()) return Status(tensors.status()).in(origin);
  adapter.tensors = std::move(tensors).value();
  return adapter;
}

Status check_schema(const Metadata& metadata) {
  for (const char* key : {"format_version", "base_sha256", "method"})
    if (const auto at = metadata.find(key);
        at == metadata.end() || at->second.empty())
      return invalid_input(fmt::format(
          "not a fieldtune adapter: metadata '{}' is missing", key));
  const std::string& version = metadata.at("format_version");
  if (version == kFormatVersion || version == kIntegerVersion)
    return ok_status();
  return invalid_input(fmt::format(
      "adapter format version {} is not supported (this program reads "
      "versions {} and {})",
      version, kFormatVersion, kIntegerVersion));
}

Result<Adapter> decode_adapter(std::span<const std::byte> file,
                               const std::string& origin) {
  FT_TRY(Adapter adapter, decode_foreign_adapter(file, origin));
  Status status = check_schema(adapter.metadata);
  if (!status.ok()) return status.in(origin);
  return adapter;
}

Status check_base(const Adapter& adapter, const std::string& base_sha256) {
  const std::string made_for = adapter.get("base_sha256");
  if (made_for == base_sha256 || made_for.empty()) return ok_status();
  return invalid_input(fmt::format(
      "the adapter was made for another base model (sha256 {}), not for this "
      "one ({})",
      made_for, base_sha256));
}

}  // namespace ft
