// The versions of an adapter store. Reads go through one connection that is
// open all the time; a change opens another one and closes it, so that a
// service locks nobody out and needs no right to write before it writes.
#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "service/adapter_shelf.h"

namespace ft::service {
namespace {

using fieldtune::AdapterStore;
using fieldtune::Slot;
using fieldtune::StoredAdapter;

class StoreShelf : public AdapterShelf,
                   public std::enable_shared_from_this<StoreShelf> {
 public:
  StoreShelf(StoreOptions options, AdapterStore reader)
      : options_(std::move(options)), reader_(std::move(reader)) {}

  Result<Catalog> look() override;
  Result<int64_t> change_mark() override {
    const std::lock_guard lock(mutex_);
    auto info = reader_.info();
    if (!info.ok() && info.status().code() == Code::kIo) {
      FT_TRY(AdapterStore again,
             AdapterStore::open(options_.folder,
                                {.read_only = true, .key = options_.key}));
      reader_ = std::move(again);
      ++opened_;
      info = reader_.info();
    }
    if (!info.ok()) return info.status();
    return info->counter + (opened_ << 40);
  }
  fieldtune::AdapterOpener opener(const std::string& name,
                                  const CatalogVersion& version) override;
  Status use(const std::string& name, int64_t version) override {
    FT_TRY(AdapterStore store, writer());
    return store.use(name, version).status();
  }
  Status confirm(const std::string& name) override {
    FT_TRY(AdapterStore store, writer());
    return store.confirm(name).status();
  }
  Status rollback(const std::string& name) override {
    FT_TRY(AdapterStore store, writer());
    return store.rollback(name).status();
  }
  Result<std::string> publish(const std::string& name, const std::string& file,
                              bool confirm) override;
  Status mark_used(const std::set<AdapterVersion>& versions) override;

 private:
  Result<AdapterStore> writer() const {
    return AdapterStore::open(options_.folder, {.key = options_.key});
  }
  Result<fieldtune::OpenedAdapter> open(const AdapterVersion& wanted,
                                        const std::string& sha256,
                                        const fieldtune::AdapterRoom& room);

  const StoreOptions options_;
  std::mutex mutex_;  // a store is one thread's at a time
  AdapterStore reader_;
  // How often another store was found in the folder: its count of changes may
  // be the one before's.
  int64_t opened_ = 0;
};

Result<Catalog> StoreShelf::look() {
  std::vector<StoredAdapter> rows;
  {
    const std::lock_guard lock(mutex_);
    FT_TRY(rows, reader_.list());
  }
  Catalog catalog;
  for (StoredAdapter& row : rows) {
    CatalogEntry& entry = catalog[row.name];
    if (entry.versions.empty()) entry.active = -1;
    const bool is_trial = row.slot == Slot::kTrial;
    if (is_trial ||
        (row.slot == Slot::kConfirmed &&
         (entry.active < 0 || entry.find(entry.active)->slot != Slot::kTrial)))
      entry.active = row.version;
    entry.versions.push_back({.version = row.version,
                              .key = std::move(row.sha256),
                              .slot = row.slot,
                              .pinned = row.pinned,
                              .sha256 = {},
                              .method = std::move(row.method),
                              .bytes = row.bytes,
                              .metrics = std::move(row.metrics)});
    entry.versions.back().sha256 = entry.versions.back().key;
  }
  return catalog;
}

fieldtune::AdapterOpener StoreShelf::opener(const std::string& name,
                                            const CatalogVersion& version) {
  return [self = shared_from_this(), name, number = version.version,
          sha256 = version.sha256](const fieldtune::AdapterRoom& room) {
    return self->open({name, number}, sha256, room);
  };
}

Result<fieldtune::OpenedAdapter> StoreShelf::open(
    const AdapterVersion& wanted, const std::string& sha256,
    const fieldtune::AdapterRoom& room) {
  const auto& [name, version] = wanted;
  const std::lock_guard lock(mutex_);
  FT_TRY(const StoredAdapter row, reader_.find(name, version));
  if (row.sha256 != sha256)
    return io_error(
        fmt::format("{}@{} of store '{}' is another adapter now; ask again",
                    name, version, options_.folder));
  FT_TRY_STATUS(room(row.bytes));
  FT_TRY(fieldtune::AdapterBytes loaded, reader_.load(row));
  auto owner =
      std::make_shared<const fieldtune::AdapterBytes>(std::move(loaded));
  return fieldtune::OpenedAdapter{
      .bytes = owner->bytes(),
      .owner = owner,
      .origin =
          fmt::format("'{}@{}' of store '{}'", name, version, options_.folder),
      .sha256 = sha256};
}

Result<std::string> StoreShelf::publish(const std::string& name,
                                        const std::string& file, bool confirm) {
  FT_TRY(AdapterStore store, writer());
  fieldtune::StoreAdd add{.name = name, .policy = options_.policy};
  auto added = store.add(file, add);
  if (!added.ok()) {
    // Somebody else may have taken the version that the file says.
    FT_TRY(const auto versions, store.list(name));
    if (versions.empty()) return added.status();
    add.version = versions.back().version + 1;
    added = store.add(file, add);
  }
  FT_TRY_STATUS(added.status());
  const int64_t version = added->adapter.version;
  const auto used = store.use(name, version);
  if (!used.ok() && used.status().code() == Code::kUsage)
    return fmt::format("{}@{} is staged, not in use: {}", name, version,
                       used.status().message());
  FT_TRY_STATUS(used.status());
  // Told of a second time after a crash, it may be confirmed already.
  if (confirm && used->slot == fieldtune::Slot::kTrial)
    FT_TRY_STATUS(store.confirm(name, version).status());
  return std::string();
}

Status StoreShelf::mark_used(const std::set<AdapterVersion>& versions) {
  std::vector<StoredAdapter> used;
  for (const auto& [name, version] : versions)
    used.push_back({.name = name, .version = version});
  FT_TRY(AdapterStore store, writer());
  return store.mark_used(used);
}

}  // namespace

const CatalogVersion* CatalogEntry::find(int64_t version) const {
  const auto at =
      std::ranges::find(versions, version, &CatalogVersion::version);
  return at == versions.end() ? nullptr : &*at;
}

Result<std::shared_ptr<AdapterShelf>> store_shelf(const StoreOptions& options) {
  FT_TRY(AdapterStore reader,
         AdapterStore::open(options.folder,
                            {.read_only = true, .key = options.key}));
  return std::shared_ptr<AdapterShelf>(
      std::make_shared<StoreShelf>(options, std::move(reader)));
}

}  // namespace ft::service
