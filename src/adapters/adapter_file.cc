#include "adapters/adapter_file.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "base/file.h"
#include "formats/safetensors/safetensors.h"

namespace ft {
namespace {

constexpr const char* kFormatVersion = "1";

Result<AdapterEntry> decode_tensor(const SafetensorsEntry& entry) {
  if (entry.dtype != DType::kF32)
    return invalid_input(fmt::format("tensor '{}' is {}, expected float32",
                                     entry.name, name_of(entry.dtype)));
  if (entry.shape.size() > Shape::kMaxRank)
    return invalid_input(fmt::format("tensor '{}' has rank {}, at most {} fits",
                                     entry.name, entry.shape.size(),
                                     Shape::kMaxRank));
  AdapterEntry tensor{.name = entry.name,
                      .shape = Shape(std::span(entry.shape)),
                      .values = std::vector<float>(entry.data.size() / 4)};
  if (!tensor.values.empty())
    std::memcpy(tensor.values.data(), entry.data.data(), entry.data.size());
  for (size_t i = 0; i < tensor.values.size(); ++i)
    if (!std::isfinite(tensor.values[i]))
      return invalid_input(fmt::format("tensor '{}' holds {} at element {}",
                                       entry.name, tensor.values[i], i));
  return tensor;
}

}  // namespace

std::string Adapter::get(const std::string& key) const {
  const auto at = metadata.find(key);
  return at == metadata.end() ? std::string() : at->second;
}

Result<std::vector<std::byte>> encode_adapter(const Adapter& adapter) {
  std::vector<SafetensorsEntry> entries;
  for (const AdapterEntry& t : adapter.tensors)
    entries.push_back({.name = t.name,
                       .dtype = DType::kF32,
                       .shape = {t.shape.dims().begin(), t.shape.dims().end()},
                       .data = std::as_bytes(std::span(t.values))});
  SafetensorsMetadata metadata(adapter.metadata.begin(),
                               adapter.metadata.end());
  metadata["format_version"] = kFormatVersion;
  return write_safetensors(entries, metadata);
}

Result<Adapter> decode_foreign_adapter(std::span<const std::byte> file,
                                       const std::string& origin) {
  auto parsed = parse_safetensors(file);
  if (!parsed.ok()) return Status(parsed.status()).in(origin);
  Adapter adapter;
  adapter.metadata.insert(parsed->metadata.begin(), parsed->metadata.end());
  for (const SafetensorsEntry& entry : parsed->tensors) {
    auto tensor = decode_tensor(entry);
    if (!tensor.ok()) return Status(tensor.status()).in(origin);
    adapter.tensors.push_back(std::move(tensor).value());
  }
  return adapter;
}

Result<Adapter> decode_adapter(std::span<const std::byte> file,
                               const std::string& origin) {
  FT_TRY(Adapter adapter, decode_foreign_adapter(file, origin));
  for (const char* key : {"format_version", "base_sha256", "method"})
    if (adapter.get(key).empty())
      return invalid_input(
          fmt::format("{}: not a fieldtune adapter: metadata '{}' is missing",
                      origin, key));
  if (adapter.get("format_version") != kFormatVersion)
    return invalid_input(fmt::format(
        "{}: adapter format version {} is not supported (this program reads "
        "version {})",
        origin, adapter.get("format_version"), kFormatVersion));
  return adapter;
}

Result<Adapter> load_adapter(const std::string& path) {
  FT_TRY(const MappedFile file, MappedFile::open(path));
  return decode_adapter(file.bytes(), "'" + path + "'");
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
