#include "serving/store_source.h"

#include <fmt/format.h>

#include <charconv>

#include "adapters/adapter_file.h"

namespace ft {

Result<std::shared_ptr<StoreSource>> StoreSource::open_store(
    const std::string& folder, const fieldtune::StoreKey& key) {
  FT_TRY(auto store, fieldtune::AdapterStore::open(
                         folder, {.read_only = true, .key = key}));
  FT_TRY(const auto info, store.info());
  if (info.encrypted && !key.given())
    return usage_error("store '" + folder +
                       "' is encrypted: its adapters need a key file or a key "
                       "of the kernel's keyrings");
  FT_TRY(const auto adapters, store.list());
  std::shared_ptr<StoreSource> source(
      new StoreSource(folder, std::move(store)));
  for (const fieldtune::StoredAdapter& a : adapters)
    source->names_.insert(a.name);
  return source;
}

Result<SourceFile> StoreSource::open(const std::string& name,
                                     const Reserve& reserve) const {
  const std::unique_lock lock(mutex_);
  const auto wanted = parse_version(name);
  auto found =
      wanted ? store_.find(wanted->name, wanted->version) : store_.active(name);
  if (!found.ok()) return found.status();
  FT_TRY_STATUS(reserve(found->bytes));
  FT_TRY(fieldtune::AdapterBytes loaded, store_.load(*found));
  auto owner =
      std::make_shared<const fieldtune::AdapterBytes>(std::move(loaded));
  return SourceFile{.bytes = owner->bytes(),
                    .owner = owner,
                    .origin = fmt::format("'{}@{}' of store '{}'", found->name,
                                          found->version, folder_),
                    .sha256 = found->sha256};
}

Result<std::optional<uint64_t>> StoreSource::current_version(
    const std::string& name) const {
  const std::optional<uint64_t> none = 0;
  if (parse_version(name)) return none;
  const std::unique_lock lock(mutex_);
  FT_TRY(const auto active, store_.active(name));
  if (active.slot != fieldtune::Slot::kTrial) return none;
  FT_TRY(const auto rows, store_.list(name));
  for (const fieldtune::StoredAdapter& row : rows) {
    if (row.slot != fieldtune::Slot::kConfirmed) continue;
    FT_TRY(const fieldtune::AdapterBytes file, store_.load(row));
    FT_TRY(const Adapter adapter, decode_adapter(file.bytes(), name));
    FT_TRY(const uint64_t version, adapter_version(adapter.metadata));
    return std::optional<uint64_t>(version);
  }
  return none;
}

std::string StoreSource::stored_name(const std::string& name) const {
  const auto wanted = parse_version(name);
  return wanted ? wanted->name : name;
}

bool StoreSource::has(const std::string& name) const {
  const auto wanted = parse_version(name);
  return names_.contains(wanted ? wanted->name : name);
}

std::optional<NamedVersion> parse_version(const std::string& name) {
  const size_t at = name.find('@');
  if (at == std::string::npos || at == 0 || at + 1 == name.size() ||
      name[at + 1] == '0')
    return std::nullopt;
  NamedVersion parsed{.name = name.substr(0, at)};
  const char *begin = name.data() + at + 1, *end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(begin, end, parsed.version);
  if (error != std::errc() || stop != end || parsed.version < 1)
    return std::nullopt;
  return parsed;
}

std::vector<std::string> StoreSource::names() const {
  return {names_.begin(), names_.end()};
}

}  // namespace ft
