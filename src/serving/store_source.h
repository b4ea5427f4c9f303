// The versions of a store's adapters, as a source of the runtime.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fieldtune/adapter_store.h"
#include "serving/adapter_source.h"

namespace ft {

// Names are those that the store had when this was made; which version is
// active is asked at each open(). "name@3" is that version of a name, active or
// not, as long as the store has it.
class StoreSource : public AdapterSource {
 public:
  // Reads only. Fails as AdapterStore::open() does, and with kUsage where the
  // store is encrypted and no key is given.
  static Result<std::shared_ptr<StoreSource>> open_store(
      const std::string& folder, const fieldtune::StoreKey& key = {});

  Result<SourceFile> open(const std::string& name,
                          const Reserve& reserve) const override;
  // Of the confirmed version where another one is on trial: neither a rollback
  // nor a version that is named is a downgrade.
  Result<std::optional<uint64_t>> current_version(
      const std::string& name) const override;
  std::string stored_name(const std::string& name) const override;
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

// "kitchen" and 3 of "kitchen@3"; nothing where `name` is not of that form.
struct NamedVersion {
  std::string name;
  int64_t version = 0;
};
std::optional<NamedVersion> parse_version(const std::string& name);

}  // namespace ft
