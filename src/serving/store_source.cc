#include "serving/store_source.h"

#include <fmt/format.h>

namespace ft {

Result<std::shared_ptr<StoreSource>> StoreSource::open_store(
    const std::string& folder) {
  FT_TRY(auto store,
         fieldtune::AdapterStore::open(folder, {.read_only = true}));
  FT_TRY(const auto adapters, store.list());
  std::shared_ptr<StoreSource> source(
      new StoreSource(folder, std::move(store)));
  for (const fieldtune::StoredAdapter& a : adapters)
    source->names_.insert(a.name);
  return source;
}

Result<SourceFile> StoreSource::open(const std::string& name) const {
  const std::unique_lock lock(mutex_);
  FT_TRY(const fieldtune::StoredAdapter active, store_.active(name));
  FT_TRY(fieldtune::AdapterBytes loaded, store_.load(active));
  auto owner =
      std::make_shared<const fieldtune::AdapterBytes>(std::move(loaded));
  return SourceFile{.bytes = owner->bytes(),
                    .owner = owner,
                    .origin = fmt::format("'{}@{}' of store '{}'", name,
                                          active.version, folder_),
                    .sha256 = active.sha256};
}

bool StoreSource::has(const std::string& name) const {
  return names_.contains(name);
}

std::vector<std::string> StoreSource::names() const {
  return {names_.begin(), names_.end()};
}

}  // namespace ft
