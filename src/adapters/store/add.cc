// Taking an adapter file into a store.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "adapters/adapter_file.h"
#include "adapters/store/impl.h"
#include "adapters/trust/load_checks.h"
#include "base/hash.h"

namespace fieldtune {
namespace {

using ft::invalid_input;
using ft::usage_error;

constexpr const char* kMetrics[] = {"accuracy", "mse"};

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

// What the file says of itself and the index repeats: it is shown, and must be
// what a later program can read.
Status check_told(const StoredAdapter& row, const std::string& origin) {
  constexpr size_t kLongestMethod = 64;
  const bool plain = std::ranges::all_of(
      row.method, [](char c) { return c > ' ' && c <= '~'; });
  if (!plain || row.method.size() > kLongestMethod)
    return invalid_input(fmt::format(
        "{}: metadata 'method' is not up to {} printable characters", origin,
        kLongestMethod));
  if (!ft::store::is_sha256(row.base_sha256))
    return invalid_input(origin + ": metadata 'base_sha256' is not one");
  if (!row.parent_sha256.empty() && !ft::store::is_sha256(row.parent_sha256))
    return invalid_input(origin + ": metadata 'parent_sha256' is not one");
  return {};
}

// The version after the highest one. A row above the limit could not be read
// back, and the store with it.
Result<int64_t> next_version(const std::vector<StoredAdapter>& versions,
                             const std::string& origin) {
  const int64_t highest = versions.empty() ? 0 : versions.back().version;
  if (highest < ft::store::kHighestVersion) return highest + 1;
  return usage_error(fmt::format(
      "{}: there is no version above {}, which is the highest that a store "
      "keeps; say which one it is",
      origin, spec_of(versions.back())));
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
      .signature = "none"};
  if (row.name.empty())
    return usage_error(origin +
                       ": the file does not name its adapter: give a name");
  FT_TRY_STATUS(ft::store::check_name(row.name));
  FT_TRY_STATUS(check_told(row, origin));
  if (options.version != 0) {
    if (options.version < 0 || options.version > ft::store::kHighestVersion)
      return usage_error(fmt::format("version {} is not from 1 to {}",
                                     options.version,
                                     ft::store::kHighestVersion));
    row.version = options.version;
    return row;
  }
  FT_TRY(const uint64_t version, ft::adapter_version(adapter.metadata));
  if (version > static_cast<uint64_t>(ft::store::kHighestVersion))
    return invalid_input(
        fmt::format("{}: its version {} is above {}, the highest that a store "
                    "keeps",
                    origin, version, ft::store::kHighestVersion));
  row.version = static_cast<int64_t>(version);
  return row;
}

// What the policy asks of a file, but for the version whose place it takes.
Result<ft::LoadRules> rules_of(const StoreAdd& options,
                               const std::string& base_sha256) {
  ft::LoadRules rules{.base_sha256 = base_sha256};
  if (options.policy.empty()) return rules;
  FT_TRY(rules.policy, ft::load_policy(options.policy));
  return rules;
}

// What was signed for the bath must not get into the kitchen. Without a policy
// its owner may know better, and is told.
Result<std::string> check_own_name(const ft::Adapter& adapter,
                                   const std::string& name,
                                   const std::string& origin,
                                   const StoreAdd& options,
                                   const ft::TrustPolicy& policy) {
  if (!options.policy.empty()) {
    FT_TRY_STATUS(ft::check_own_name(adapter, name, policy, origin));
    return std::string();
  }
  const std::string own = adapter.get("name");
  if (own.empty() || own == name) return std::string();
  return fmt::format("{} says that it is adapter '{}'; it is stored as '{}'",
                     origin, own, name);
}

// Who signed it; load_checked() has verified that.
Status note_signer(const ft::Adapter& adapter, std::span<const std::byte> file,
                   const ft::TrustPolicy& policy, StoredAdapter& row) {
  FT_TRY(const auto signature, ft::find_signature(file, adapter.metadata));
  if (!signature) return {};
  row.signed_by = ft::to_hex(signature->key);
  row.signature = policy.find(signature->key) != nullptr ? "trusted" : "valid";
  return {};
}

// A name stays with one base, so that a rollback always fits; a store may stay
// with one, too.
Status check_same_base(const StoredAdapter& row,
                       const std::vector<StoredAdapter>& versions,
                       const std::string& origin) {
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

// As the file of the active version says; 0 where there is none.
Result<uint64_t> AdapterStore::active_version(const std::string& name) {
  FT_TRY(const auto row, impl_->index.active(name));
  if (!row) return uint64_t{0};
  FT_TRY(const AdapterBytes file, load(*row));
  FT_TRY(const ft::Adapter adapter,
         ft::decode_adapter(file.bytes(), spec_of(*row)));
  return ft::adapter_version(adapter.metadata);
}

// The file is on disk before the row that names it commits; a file without row
// is a leftover.
Result<AdapterStore::Added> AdapterStore::add(std::span<const std::byte> file,
                                              const std::string& origin,
                                              const StoreAdd& options) {
  FT_TRY(ft::LoadRules rules, rules_of(options, impl_->row.base_sha256));
  FT_TRY(const ft::Adapter adapter, ft::load_checked(file, rules, origin));
  FT_TRY(StoredAdapter row, row_of(adapter, file, origin, options));
  FT_TRY(std::string note,
         check_own_name(adapter, row.name, origin, options, rules.policy));
  FT_TRY_STATUS(note_signer(adapter, file, rules.policy, row));
  FT_TRY(Change change, Change::begin(*impl_));
  if (rules.policy.refuse_downgrade) {
    FT_TRY(rules.current_version, active_version(row.name));
    FT_TRY_STATUS(ft::load_checked(file, rules, origin).status());
  }
  FT_TRY(const auto versions, impl_->index.of_name(row.name));
  FT_TRY_STATUS(check_same_base(row, versions, origin));
  FT_TRY(const StoredAdapter* same, find_same(row, versions, options, origin));
  if (same == nullptr && row.version == 0) {
    FT_TRY(row.version, next_version(versions, origin));
  }
  FT_TRY(const auto holders, impl_->index.of_sha256(row.sha256));
  if (holders.empty() || !impl_->objects.is_whole(row.sha256, row.bytes))
    FT_TRY_STATUS(impl_->objects.write(row.sha256, file));
  if (same == nullptr) {
    row.added = change.moment().counter;
    row.added_time = change.moment().time;
    FT_TRY_STATUS(impl_->index.insert(row));
  }
  FT_TRY_STATUS(change.commit());
  return Added{same == nullptr ? row : *same, same == nullptr, std::move(note)};
}

}  // namespace fieldtune
