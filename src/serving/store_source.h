// The active versions of a store's adapters, as a source of the runtime.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "fieldtune/adapter_store.h"
#include "serving/adapter_source.h"

namespace ft {

// Names are those that the store had when this was made; which version is
// active is asked at each open(). Not for stores that are encrypted.
class StoreSource : public AdapterSource {
 public:
  // Reads only. Fails as AdapterStore::open() does.
  static Result<std::shared_ptr<StoreSource>> open_store(
      const std::string& folder);

  Result<SourceFile> open(const std::string& name) const override;
  bool has(const std::string& name) const override;
  std::vector<std::string> names() const override;

 private:
  StoreSource(std::string folder, fieldtune::AdapterStore store)
      : folder_(std::move(folder)), store_(std::move(store)) {}

  const std::string folder_;
  mutable std::mutex mutex_;  // a store is one thread's at a time
  mutable fieldtune::AdapterStore store_;
  std::set<std::string> names_;
};

}  // namespace ft
