// Taking a delta: its precursor is a version that the store has.
#include <fmt/format.h>

#include <algorithm>

#include "adapters/delta/delta_file.h"
#include "adapters/signing_key.h"
#include "adapters/store/impl.h"
#include "adapters/trust/policy.h"

namespace fieldtune {
namespace {

// The version that has these bytes; of `name` where it is given, else of the
// only name that has them.
Result<StoredAdapter> precursor(AdapterStore::Impl& store,
                                const ft_delta_head& head,
                                const std::string& name,
                                const std::string& origin) {
  const std::string sha256 = ft::to_hex(head.old_sha256);
  FT_TRY(auto rows, store.index.of_sha256(sha256));
  if (!name.empty())
    std::erase_if(rows, [&](const auto& row) { return row.name != name; });
  if (rows.empty())
    return ft::invalid_input(fmt::format(
        "{} starts from an adapter (sha256 {}) that {} does not have{}", origin,
        sha256, store.where, name.empty() ? "" : " as '" + name + "'"));
  if (rows.size() > 1)
    return ft::usage_error(fmt::format(
        "{} starts from {} and from {}, which are one file: give the name",
        origin, spec_of(rows[0]), spec_of(rows[1])));
  return std::move(rows[0]);
}

Status check_size(const ft_delta_head& head, uint64_t max_bytes,
                  const StoreAdd& options, const std::string& origin) {
  if (!options.policy.empty()) {
    FT_TRY(const ft::TrustPolicy policy, ft::load_policy(options.policy));
    max_bytes = std::min(max_bytes, policy.max_bytes);
  }
  if (head.new_bytes <= max_bytes) return {};
  return ft::does_not_fit(
      fmt::format("{}: its result would have {} bytes, above the limit of {}; "
                  "nothing was changed",
                  origin, head.new_bytes, max_bytes));
}

}  // namespace

Result<AdapterStore::Added> AdapterStore::add_delta(const std::string& path,
                                                    const StoreAdd& options,
                                                    uint64_t max_bytes) {
  const std::string origin = "'" + path + "'";
  FT_TRY(const ft::MappedFile delta, ft::MappedFile::open(path));
  FT_TRY(const ft_delta_head head, ft::delta_head(delta.bytes(), origin));
  FT_TRY_STATUS(check_size(head, max_bytes, options, origin));
  FT_TRY(const StoredAdapter before,
         precursor(*impl_, head, options.name, origin));
  FT_TRY(const AdapterBytes old_file, load(before));
  FT_TRY(const auto result,
         ft::apply_delta(old_file.bytes(), delta.bytes(), origin));
  StoreAdd add_options = options;
  add_options.name = before.name;
  return add(result,
             fmt::format("the result of {} on {}", origin, spec_of(before)),
             add_options);
}

}  // namespace fieldtune
