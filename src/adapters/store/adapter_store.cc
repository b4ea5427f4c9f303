// Opening a store, reading it, and moving versions between slots.
#include "fieldtune/adapter_store.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>

#include "adapters/store/impl.h"
#include "adapters/store/init.h"
#include "base/hash.h"

namespace fieldtune {

using ft::invalid_input;
using ft::usage_error;
using ft::store::Database;
using ft::store::Index;
using ft::store::Objects;

const char* name_of(Slot slot) {
  switch (slot) {
    case Slot::kStaged: return "staged";
    case Slot::kTrial: return "trial";
    case Slot::kConfirmed: return "confirmed";
    case Slot::kRetired: return "retired";
  }
  return "";
}

std::string spec_of(const StoredAdapter& row) {
  return fmt::format("{}@{}", row.name, row.version);
}

struct AdapterBytes::Impl {
  ft::store::ObjectBytes object;
};
AdapterBytes::AdapterBytes(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
AdapterBytes::AdapterBytes(AdapterBytes&&) noexcept = default;
AdapterBytes& AdapterBytes::operator=(AdapterBytes&&) noexcept = default;
AdapterBytes::~AdapterBytes() = default;
std::span<const std::byte> AdapterBytes::bytes() const {
  return impl_->object.bytes();
}

AdapterStore::AdapterStore(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
AdapterStore::AdapterStore(AdapterStore&&) noexcept = default;
AdapterStore& AdapterStore::operator=(AdapterStore&&) noexcept = default;
AdapterStore::~AdapterStore() = default;

namespace {

std::string index_path(const std::string& folder) {
  return folder + "/index.sqlite";
}

// A folder that cannot be written has no place for SQLite's shared memory; its
// index can still be read if the log holds nothing that is not in it.
Result<Index> open_index(const std::string& folder, const StoreOpen& options,
                         const std::string& where) {
  const std::string path = index_path(folder);
  const auto mode =
      options.read_only ? Database::Mode::kRead : Database::Mode::kWrite;
  auto index = Index::open(path, mode, options.busy_ms, where);
  if (index.ok() || !options.read_only || index.status().code() != Code::kIo ||
      ::access(folder.c_str(), W_OK) == 0)
    return index;
  std::error_code error;
  const auto log = std::filesystem::file_size(path + "-wal", error);
  if (!error && log > 0)
    return ft::io_error(
        where +
        " was not closed and its folder is read-only: make the folder "
        "writable and open it once");
  return Index::open(path, Database::Mode::kImmutable, options.busy_ms, where);
}

Result<std::optional<ft::store::Cipher>> open_cipher(
    const StoreKey& key, const ft::store::StoreRow& row,
    const std::string& where) {
  std::optional<ft::store::Cipher> cipher;
  if (!key.given()) return cipher;
  if (row.key_check.empty())
    return usage_error(where + " is not encrypted: it takes no key");
  FT_TRY(ft::store::Cipher loaded, ft::store::Cipher::load(key));
  if (!loaded.matches(row.key_check))
    return invalid_input(where + " is encrypted with another key");
  cipher.emplace(std::move(loaded));
  return cipher;
}

}  // namespace

Status AdapterStore::init(const std::string& folder, const StoreInit& options) {
  return ft::store::init_store(folder, options);
}

Result<AdapterStore> AdapterStore::open(const std::string& folder,
                                        const StoreOpen& options) {
  const std::string where = "store '" + folder + "'";
  FT_TRY_STATUS(ft::store::check_marker(folder));
  FT_TRY(Index index, open_index(folder, options, where));
  FT_TRY(ft::store::StoreRow row, index.store_row());
  FT_TRY(auto cipher, open_cipher(options.key, row, where));
  Objects objects(folder, !row.key_check.empty(), std::move(cipher));
  struct stat info;
  if (::stat(index_path(folder).c_str(), &info) != 0)
    return ft::io_error(where + " was removed while it was opened");
  return AdapterStore(std::make_unique<Impl>(
      Impl{folder, where, options.busy_ms, options.read_only, std::move(row),
           std::move(index), std::move(objects), info.st_dev, info.st_ino}));
}

Status AdapterStore::Impl::check_in_place() const {
  struct stat info;
  if (::stat(index_path(folder).c_str(), &info) == 0 &&
      info.st_dev == index_device && info.st_ino == index_inode)
    return {};
  return ft::io_error(where +
                      " was removed or replaced since it was opened: open it "
                      "again");
}

Result<Change> Change::begin(AdapterStore::Impl& store) {
  if (store.read_only)
    return usage_error(store.where + " was opened for reading only");
  FT_TRY(auto lock, ft::store::WriteLock::acquire(store.folder + "/lock",
                                                  store.busy_ms, store.where));
  FT_TRY_STATUS(store.check_in_place());
  FT_TRY(auto transaction,
         ft::store::Transaction::begin(store.index.database()));
  FT_TRY(const Index::Moment moment, store.index.count());
  return Change(std::move(lock), std::move(transaction), moment);
}

Status AdapterStore::Impl::unknown(const std::string& name) {
  FT_TRY_STATUS(ft::store::check_name(name));
  return usage_error(fmt::format("{} has no adapter '{}'", where, name));
}

Result<StoredAdapter> AdapterStore::Impl::must_find(const std::string& name,
                                                    int64_t version) {
  FT_TRY(auto row, index.find(name, version));
  if (row) return std::move(*row);
  FT_TRY(const auto others, index.of_name(name));
  if (others.empty()) return unknown(name);
  return usage_error(fmt::format(
      "{} has no version {} of '{}'; it has {} of its versions, the highest is "
      "{}",
      where, version, name, others.size(), others.back().version));
}

Status AdapterStore::Impl::move(const StoredAdapter& row, Slot slot) {
  return index.set_slot(row, slot, row.confirmed);
}

Result<std::vector<StoredAdapter>> AdapterStore::list(const std::string& name) {
  FT_TRY_STATUS(impl_->check_in_place());
  if (name.empty()) return impl_->index.all();
  FT_TRY(auto rows, impl_->index.of_name(name));
  if (rows.empty()) return impl_->unknown(name);
  return rows;
}

Result<StoredAdapter> AdapterStore::find(const std::string& name,
                                         int64_t version) {
  FT_TRY_STATUS(impl_->check_in_place());
  return impl_->must_find(name, version);
}

Result<StoredAdapter> AdapterStore::active(const std::string& name) {
  FT_TRY_STATUS(impl_->check_in_place());
  FT_TRY(auto row, impl_->index.active(name));
  if (row) return std::move(*row);
  FT_TRY(const auto rows, impl_->index.of_name(name));
  if (rows.empty()) return impl_->unknown(name);
  return usage_error(
      fmt::format("{}: no version of '{}' is in use; put one on trial with "
                  "'use'",
                  impl_->where, name));
}

Result<std::vector<StoredAdapter>> AdapterStore::lineage(
    const StoredAdapter& adapter) {
  FT_TRY_STATUS(impl_->check_in_place());
  std::vector<StoredAdapter> line = {adapter};
  std::set<std::string> seen = {adapter.sha256};
  while (seen.insert(line.back().parent_sha256).second) {
    FT_TRY(const auto rows, impl_->index.of_sha256(line.back().parent_sha256));
    if (rows.empty()) break;
    const auto same =
        std::ranges::find(rows, adapter.name, &StoredAdapter::name);
    line.push_back(same == rows.end() ? rows.front() : *same);
  }
  return line;
}

Result<StoreInfo> AdapterStore::info() {
  FT_TRY_STATUS(impl_->check_in_place());
  FT_TRY(const auto row, impl_->index.store_row());
  StoreInfo info{.folder = impl_->folder,
                 .base_sha256 = row.base_sha256,
                 .encrypted = !row.key_check.empty(),
                 .counter = row.counter};
  FT_TRY(info.adapters, impl_->index.count_rows());
  FT_TRY(info.names, impl_->index.count_names());
  const int64_t now = std::chrono::duration_cast<std::chrono::seconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count();
  info.clock_behind_seconds = std::max<int64_t>(0, row.highest_time - now);
  return info;
}

Result<StoredAdapter> AdapterStore::use(const std::string& name,
                                        int64_t version, int64_t boots) {
  if (boots < 0) return usage_error(fmt::format("a trial of {} starts", boots));
  FT_TRY(Change change, Change::begin(*impl_));
  FT_TRY_STATUS(refuse_experiment(*impl_, name));
  Index& index = impl_->index;
  if (version == 0) {
    FT_TRY(const auto staged, index.in_slot(name, Slot::kStaged));
    FT_TRY(const auto rows, index.of_name(name));
    if (rows.empty()) return impl_->unknown(name);
    if (!staged)
      return usage_error(fmt::format(
          "{}: no version of '{}' is staged; name the version to use",
          impl_->where, name));
    version = staged->version;
  }
  FT_TRY(const StoredAdapter row, impl_->must_find(name, version));
  FT_TRY(const auto trial, index.in_slot(name, Slot::kTrial));
  if (trial && trial->version != version)
    FT_TRY_STATUS(impl_->move(*trial, Slot::kStaged));
  if (row.slot == Slot::kStaged || row.slot == Slot::kRetired)
    FT_TRY_STATUS(impl_->move(row, Slot::kTrial));
  FT_TRY_STATUS(index.set_used(row, change.moment()));
  FT_TRY(StoredAdapter now, impl_->must_find(name, version));
  FT_TRY_STATUS(impl_->limit_boots(now, boots));
  FT_TRY_STATUS(change.commit());
  return now;
}

Result<StoredAdapter> AdapterStore::confirm(const std::string& name,
                                            int64_t version) {
  FT_TRY(Change change, Change::begin(*impl_));
  FT_TRY_STATUS(refuse_experiment(*impl_, name));
  Index& index = impl_->index;
  FT_TRY(const auto trial, index.in_slot(name, Slot::kTrial));
  if (!trial) {
    FT_TRY(const auto rows, index.of_name(name));
    if (rows.empty()) return impl_->unknown(name);
    return usage_error(
        fmt::format("{}: no version of '{}' is on trial", impl_->where, name));
  }
  if (version != 0 && version != trial->version)
    return usage_error(fmt::format(
        "{}: version {} of '{}' is on trial, not {}; nothing was confirmed",
        impl_->where, trial->version, name, version));
  FT_TRY(const auto before, index.in_slot(name, Slot::kConfirmed));
  if (before) FT_TRY_STATUS(impl_->move(*before, Slot::kRetired));
  FT_TRY_STATUS(
      index.set_slot(*trial, Slot::kConfirmed, change.moment().counter));
  FT_TRY(StoredAdapter now, impl_->must_find(name, trial->version));
  FT_TRY_STATUS(impl_->limit_boots(now, 0));
  FT_TRY_STATUS(change.commit());
  return now;
}

// What is rolled back from counts as never confirmed: a later rollback must not
// come back to it.
Result<StoredAdapter> AdapterStore::rollback(const std::string& name) {
  FT_TRY(Change change, Change::begin(*impl_));
  FT_TRY_STATUS(refuse_experiment(*impl_, name));
  Index& index = impl_->index;
  FT_TRY(const auto trial, index.in_slot(name, Slot::kTrial));
  FT_TRY(auto confirmed, index.in_slot(name, Slot::kConfirmed));
  if (!trial && !confirmed) {
    FT_TRY(const auto rows, index.of_name(name));
    if (rows.empty()) return impl_->unknown(name);
  }
  if (!confirmed)
    return usage_error(fmt::format(
        "{}: no version of '{}' was confirmed that one could roll back to",
        impl_->where, name));
  if (trial) {
    FT_TRY_STATUS(impl_->move(*trial, Slot::kRetired));
  } else {
    FT_TRY(const auto before,
           index.confirmed_before(name, confirmed->confirmed));
    if (!before)
      return usage_error(
          fmt::format("{}: nothing was confirmed before {} that one could roll "
                      "back to",
                      impl_->where, spec_of(*confirmed)));
    FT_TRY_STATUS(index.set_slot(*confirmed, Slot::kRetired, 0));
    FT_TRY_STATUS(impl_->move(*before, Slot::kConfirmed));
    confirmed = before;
  }
  FT_TRY(StoredAdapter now, impl_->must_find(name, confirmed->version));
  FT_TRY_STATUS(impl_->limit_boots(now, 0));
  FT_TRY_STATUS(change.commit());
  return now;
}

Result<StoredAdapter> AdapterStore::pin(const std::string& name,
                                        int64_t version, bool pinned) {
  FT_TRY(Change change, Change::begin(*impl_));
  FT_TRY(const StoredAdapter row, impl_->must_find(name, version));
  FT_TRY_STATUS(impl_->index.set_pinned(row, pinned));
  FT_TRY(StoredAdapter now, impl_->must_find(name, version));
  FT_TRY_STATUS(change.commit());
  return now;
}

Status AdapterStore::mark_used(const StoredAdapter& adapter) {
  FT_TRY(Change change, Change::begin(*impl_));
  FT_TRY(const StoredAdapter row,
         impl_->must_find(adapter.name, adapter.version));
  FT_TRY_STATUS(impl_->index.set_used(row, change.moment()));
  return change.commit();
}

Status AdapterStore::mark_used(std::span<const StoredAdapter> adapters) {
  if (adapters.empty()) return ft::ok_status();
  FT_TRY(Change change, Change::begin(*impl_));
  bool has_any = false;
  for (const StoredAdapter& adapter : adapters) {
    FT_TRY(const auto row, impl_->index.find(adapter.name, adapter.version));
    if (!row) continue;
    has_any = true;
    FT_TRY_STATUS(impl_->index.set_used(*row, change.moment()));
  }
  return has_any ? change.commit() : ft::ok_status();
}

Result<AdapterBytes> AdapterStore::load(const StoredAdapter& adapter,
                                        bool check) {
  const std::string what = impl_->where + ": " + spec_of(adapter);
  if (!ft::store::is_sha256(adapter.sha256))
    return usage_error(what + " is not an adapter of the store");
  auto object = impl_->objects.read(adapter.sha256, adapter.bytes);
  if (!object.ok()) return Status(object.status()).in(what);
  const auto bytes = object->bytes();
  if (check && ft::sha256_hex(bytes) != adapter.sha256)
    return invalid_input(fmt::format(
        "{} is damaged: its file is not the one that was stored", what));
  return AdapterBytes(std::make_unique<AdapterBytes::Impl>(
      AdapterBytes::Impl{std::move(object).value()}));
}

}  // namespace fieldtune
