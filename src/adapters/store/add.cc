// Taking an adapter file into a store.
#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "adapters/adapter_file.h"
#include "adapters/store/impl.h"
#include "base/hash.h"

namespace fieldtune {
namespace {

using ft::invalid_input;
using ft::usage_error;

constexpr const char* kMetrics[] = {"accuracy", "mse"};

// Metadata `version`; 0 where there is none.
Result<int64_t> recorded_version(const ft::Adapter& adapter,
                                 const std::string& origin) {
  const std::string text = adapter.get("version");
  if (text.empty()) return int64_t{0};
  int64_t version = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, version);
  if (error == std::errc() && stop == end && version >= 0 &&
      version <= ft::store::kHighestVersion)
    return version;
  return invalid_input(
      fmt::format("{}: metadata 'version' is '{}', not a number from 0 to {}",
                  origin, text, ft::store::kHighestVersion));
}

std::map<std::string, double> recorded_metrics(const ft::Adapter& adapter) {
  std::map<std::string, double> metrics;
  for (const char* name : kMetrics) {
    const std::string text = adapter.get(name);
    double value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (!text.empty() && error == std::errc() && stop == end &&
        std::isfinite(value))
      metrics[name] = value;
  }
  return metrics;
}

// Everything but version and moment.
Result<StoredAdapter> row_of(const ft::Adapter& adapter,
                             std::span<const std::byte> file,
                             const std::string& origin,
                             const StoreAdd& options) {
  StoredAdapter row{
      .name = options.name.empty() ? adapter.get("name") : options.name,
      .sha256 = ft::sha256_hex(file),
      .parent_sha256 = adapter.get("parent_sha256"),
      .base_sha256 = adapter.get("base_sha256"),
      .method = adapter.get("method"),
      .bytes = file.size(),
      .metrics = recorded_metrics(adapter),
      .signature = adapter.get("signature").empty() ? "none" : "present"};
  if (row.name.empty())
    return usage_error(origin +
                       ": the file does not name its adapter: give a name");
  FT_TRY_STATUS(ft::store::check_name(row.name));
  if (!row.parent_sha256.empty() && !ft::store::is_sha256(row.parent_sha256))
    return invalid_input(origin + ": metadata 'parent_sha256' is not one");
  FT_TRY(row.version, recorded_version(adapter, origin));
  if (options.version != 0) row.version = options.version;
  if (row.version < 0 || row.version > ft::store::kHighestVersion)
    return usage_error(fmt::format("version {} is not from 1 to {}",
                                   row.version, ft::store::kHighestVersion));
  return row;
}

// A name stays with one base, so that a rollback always fits; a store may stay
// with one, too.
Status check_same_base(const StoredAdapter& row, const std::string& of_store,
                       const std::vector<StoredAdapter>& versions,
                       const std::string& origin) {
  if (!of_store.empty() && row.base_sha256 != of_store)
    return invalid_input(fmt::format(
        "{}: the adapter was made for another base model (sha256 {}) than "
        "those of the store ({})",
        origin, row.base_sha256, of_store));
  if (!versions.empty() && versions.back().base_sha256 != row.base_sha256)
    return invalid_input(fmt::format(
        "{}: the adapter was made for another base model (sha256 {}) than {} "
        "({}); store it under another name",
        origin, row.base_sha256, spec_of(versions.back()),
        versions.back().base_sha256));
  return {};
}

// The row that has these bytes already, or null; fails where the version is
// taken.
Result<const StoredAdapter*> find_same(
    const StoredAdapter& row, const std::vector<StoredAdapter>& versions,
    const StoreAdd& options, const std::string& origin) {
  for (const StoredAdapter& there : versions) {
    if (there.sha256 != row.sha256) continue;
    if (options.version != 0 && options.version != there.version)
      return usage_error(
          fmt::format("{} is {} already", origin, spec_of(there)));
    return &there;
  }
  for (const StoredAdapter& there : versions)
    if (there.version == row.version)
      return usage_error(fmt::format(
          "{}: {} is another adapter already (sha256 {}); versions are not "
          "replaced",
          origin, spec_of(there), there.sha256));
  return nullptr;
}

}  // namespace

Result<AdapterStore::Added> AdapterStore::add(const std::string& path,
                                              const StoreAdd& options) {
  FT_TRY(const ft::MappedFile file, ft::MappedFile::open(path));
  return add(file.bytes(), "'" + path + "'", options);
}

// The file is on disk before the row that names it commits; a file without row
// is a leftover.
Result<AdapterStore::Added> AdapterStore::add(std::span<const std::byte> file,
                                              const std::string& origin,
                                              const StoreAdd& options) {
  FT_TRY(const ft::Adapter adapter, ft::decode_adapter(file, origin));
  FT_TRY(StoredAdapter row, row_of(adapter, file, origin, options));
  FT_TRY(Change change, Change::begin(*impl_));
  FT_TRY(const auto versions, impl_->index.of_name(row.name));
  FT_TRY_STATUS(check_same_base(row, impl_->row.base_sha256, versions, origin));
  FT_TRY(const StoredAdapter* same, find_same(row, versions, options, origin));
  if (same == nullptr && row.version == 0)
    row.version = versions.empty() ? 1 : versions.back().version + 1;
  FT_TRY(const auto holders, impl_->index.of_sha256(row.sha256));
  if (holders.empty() || !impl_->objects.is_whole(row.sha256))
    FT_TRY_STATUS(impl_->objects.write(row.sha256, file));
  if (same == nullptr) {
    row.added = change.moment().counter;
    row.added_time = change.moment().time;
    FT_TRY_STATUS(impl_->index.insert(row));
  }
  FT_TRY_STATUS(change.commit());
  return Added{same == nullptr ? row : *same, same == nullptr};
}

}  // namespace fieldtune
