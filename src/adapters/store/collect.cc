// What a store lets go: versions by policy, and files that a crash left.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "adapters/store/experiment_index.h"
#include "adapters/store/impl.h"
#include "adapters/trust/load_checks.h"
#include "base/hash.h"

namespace fieldtune {
namespace {

// Versions that experiments compare.
using Compared = std::set<std::pair<std::string, int64_t>>;

// Versions of one name that must stay: what is in use, what rollback would go
// back to, what is pinned or compared.
void protect(const std::vector<const StoredAdapter*>& versions,
             const Compared& compared, std::set<const StoredAdapter*>& kept) {
  int64_t confirmed = 0;
  for (const StoredAdapter* v : versions)
    if (v->slot == Slot::kConfirmed) confirmed = v->confirmed;
  const StoredAdapter* before = nullptr;
  for (const StoredAdapter* v : versions) {
    if (v->pinned || v->slot == Slot::kTrial || v->slot == Slot::kConfirmed ||
        compared.contains({v->name, v->version}))
      kept.insert(v);
    if (v->confirmed > 0 && v->confirmed < confirmed &&
        (before == nullptr || v->confirmed > before->confirmed))
      before = v;
  }
  if (before != nullptr) kept.insert(before);
}

// Bytes of adapter files, each once.
uint64_t bytes_of(const std::set<const StoredAdapter*>& rows) {
  std::map<std::string, uint64_t> files;
  for (const StoredAdapter* row : rows) files[row->sha256] = row->bytes;
  uint64_t sum = 0;
  for (const auto& [sha256, bytes] : files) sum += bytes;
  return sum;
}

struct Choice {
  std::vector<const StoredAdapter*> gone;
  std::set<const StoredAdapter*> kept;
};

// First by number of versions, then by bytes: least recently used go first.
Result<Choice> choose(const std::vector<StoredAdapter>& rows,
                      const Compared& compared, const StoreCollect& options) {
  std::map<std::string, std::vector<const StoredAdapter*>> names;
  for (const StoredAdapter& row : rows) names[row.name].push_back(&row);
  std::set<const StoredAdapter*> safe;
  Choice choice;
  for (auto& [name, versions] : names) {
    protect(versions, compared, safe);
    std::ranges::sort(versions, std::greater(), &StoredAdapter::added);
    for (size_t i = 0; i < versions.size(); ++i)
      if (options.keep < 0 || i < static_cast<uint64_t>(options.keep) ||
          safe.contains(versions[i]))
        choice.kept.insert(versions[i]);
      else
        choice.gone.push_back(versions[i]);
  }
  if (options.max_bytes < 0) return choice;
  const auto limit = static_cast<uint64_t>(options.max_bytes);
  if (bytes_of(safe) > limit)
    return ft::does_not_fit(fmt::format(
        "what must stay (confirmed, before it, on trial, in an experiment, "
        "pinned) has {} bytes, above the limit of {}; nothing was removed",
        bytes_of(safe), limit));
  std::vector<const StoredAdapter*> oldest(choice.kept.begin(),
                                           choice.kept.end());
  std::ranges::sort(oldest, {}, [](const StoredAdapter* row) {
    return std::max(row->last_use, row->added);
  });
  std::map<std::string, int> holders;
  for (const StoredAdapter* row : oldest) ++holders[row->sha256];
  uint64_t bytes = bytes_of(choice.kept);
  for (const StoredAdapter* row : oldest) {
    if (bytes <= limit) break;
    if (safe.contains(row)) continue;
    if (--holders[row->sha256] == 0) bytes -= row->bytes;
    choice.kept.erase(row);
    choice.gone.push_back(row);
  }
  return choice;
}

}  // namespace

Result<ft::store::Objects::Leftovers> AdapterStore::Impl::leftovers(
    const std::vector<StoredAdapter>& rows) const {
  std::set<std::string> known;
  for (const StoredAdapter& row : rows) known.insert(row.sha256);
  return objects.leftovers(
      [&](const std::string& sha256) { return known.contains(sha256); });
}

Status AdapterStore::Impl::remove_leftovers(
    const std::vector<std::string>& leftovers) {
  for (const std::string& leftover : leftovers)
    FT_TRY_STATUS(objects.remove(leftover));
  return {};
}

// Rows go first, then files: a row always finds its file. The lock is held
// until both are gone, so that nobody adds one of these files in between.
Result<Collected> AdapterStore::collect(const StoreCollect& options) {
  std::optional<Change> change;
  if (!options.dry_run) {
    FT_TRY(Change begun, Change::begin(*impl_));
    change.emplace(std::move(begun));
  }
  FT_TRY(const auto rows, impl_->index.all());
  Compared compared;
  ft::store::ExperimentIndex experiments(impl_->index, impl_->where);
  FT_TRY(const auto running, experiments.running());
  for (const Experiment& e : running)
    for (const Arm arm : kArms) compared.insert({e.name, e.version_of(arm)});
  FT_TRY(Choice choice, choose(rows, compared, options));
  std::vector<StoredAdapter> kept;
  for (const StoredAdapter& row : rows)
    if (choice.kept.contains(&row)) kept.push_back(row);
  Collected collected{.kept_bytes = bytes_of(choice.kept)};
  std::set<const StoredAdapter*> all;
  for (const StoredAdapter& row : rows) all.insert(&row);
  collected.freed_bytes = bytes_of(all) - collected.kept_bytes;
  for (const StoredAdapter* row : choice.gone)
    collected.adapters.push_back(*row);
  if (change) {
    for (const StoredAdapter* row : choice.gone)
      FT_TRY_STATUS(impl_->index.remove(*row));
    FT_TRY_STATUS(change->commit());
  }
  // Files of rows that go now are no leftovers of a crash.
  FT_TRY(const auto crashed, impl_->leftovers(rows));
  collected.leftovers = crashed.ours;
  if (!change) return collected;
  FT_TRY(const auto found, impl_->leftovers(kept));
  FT_TRY_STATUS(impl_->remove_leftovers(found.ours));
  return collected;
}

namespace {

// What is wrong with a file and its row, one sentence; empty: nothing.
std::string wrong_with(const StoredAdapter& row,
                       const Result<AdapterBytes>& file) {
  if (!file.ok()) return file.status().message();
  const auto adapter = ft::load_checked(file->bytes(), {}, spec_of(row));
  if (!adapter.ok()) return adapter.status().message();
  if (adapter->get("base_sha256") != row.base_sha256 ||
      adapter->get("method") != row.method ||
      adapter->get("parent_sha256") != row.parent_sha256)
    return spec_of(row) + ": the index does not say what its file says";
  return {};
}

}  // namespace

Result<std::vector<StoreProblem>> AdapterStore::verify(bool repair) {
  std::optional<Change> change;
  if (repair) {
    FT_TRY(Change begun, Change::begin(*impl_));
    change.emplace(std::move(begun));
    FT_TRY_STATUS(change->commit());
  }
  std::vector<StoreProblem> problems;
  FT_TRY(const auto pages, impl_->index.check_pages());
  for (const std::string& page : pages)
    problems.push_back({"the index is damaged: " + page, {}});
  FT_TRY(auto rows, impl_->index.all());
  for (const StoredAdapter& row : rows) {
    const std::string wrong = wrong_with(row, load(row));
    if (wrong.empty()) continue;
    FT_TRY(const auto now, impl_->index.find(row.name, row.version));
    if (now) problems.push_back({wrong, {spec_of(row)}});  // else collected
  }
  // A writer at work has files that no row names yet.
  std::optional<ft::store::WriteLock> lock;
  if (!repair) {
    FT_TRY(auto kept_out,
           ft::store::WriteLock::keep_out(impl_->folder + "/lock",
                                          impl_->busy_ms, impl_->where));
    lock.emplace(std::move(kept_out));
    FT_TRY(rows, impl_->index.all());
  }
  FT_TRY(const auto found, impl_->leftovers(rows));
  for (const std::string& file : found.ours)
    problems.push_back({"'" + file +
                            "' belongs to no adapter: an interrupted "
                            "change left it",
                        {},
                        repair});
  for (const std::string& file : found.others)
    problems.push_back({"'" + file + "' is not a file of the store", {}});
  if (repair) FT_TRY_STATUS(impl_->remove_leftovers(found.ours));
  return problems;
}

}  // namespace fieldtune
