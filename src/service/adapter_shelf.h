// Where a service's adapters lie: a store, or a folder of files. One look at
// it gives a Catalog, which never changes; a later look gives another one.
//
// Thread-safe. Not for what is in memory: see adapter_book.h.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fieldtune/adapter_store.h"
#include "fieldtune/runtime.h"

namespace ft::service {

struct CatalogVersion {
  int64_t version = 0;  // 0: the file does not say
  // Names the file's very contents: two of one key are the same.
  std::string key = {};
  std::optional<fieldtune::Slot> slot = {};  // of a store
  bool pinned = false;
  std::string sha256 = {}, method = {};  // of a store
  uint64_t bytes = 0;
  std::map<std::string, double> metrics = {};
};

struct CatalogEntry {
  std::vector<CatalogVersion> versions;  // lowest first
  int64_t active = 0;                    // version; -1: none is in use
  const CatalogVersion* find(int64_t version) const;
};

using AdapterVersion = std::pair<std::string, int64_t>;

using Catalog = std::map<std::string, CatalogEntry, std::less<>>;

class AdapterShelf {
 public:
  virtual ~AdapterShelf() = default;

  virtual Result<Catalog> look() = 0;
  // Another value: something has changed. Cheap.
  virtual Result<int64_t> change_mark() = 0;
  // Brings a version's file into memory.
  virtual fieldtune::AdapterOpener opener(const std::string& name,
                                          const CatalogVersion& version) = 0;

  // What follows changes the shelf. A folder has no versions and no slots, so
  // it refuses all but publish(), which takes the file's place.
  virtual Status use(const std::string& name, int64_t version) = 0;
  virtual Status confirm(const std::string& name) = 0;
  virtual Status rollback(const std::string& name) = 0;
  // A new version from a file: of a store staged, then used, then confirmed if
  // that is wanted. The sentence says what was not done and why: a name whose
  // versions are being compared keeps the new one staged.
  virtual Result<std::string> publish(const std::string& name,
                                      const std::string& file,
                                      bool confirm) = 0;
  // These have been in use until now; ones that are gone are left out. A folder
  // has nothing to note.
  virtual Status mark_used(const std::set<AdapterVersion>& versions) = 0;
};

struct StoreOptions {
  std::string folder;
  fieldtune::StoreKey key = {};
  std::string policy = {};  // of what publish() adds
};

Result<std::shared_ptr<AdapterShelf>> store_shelf(const StoreOptions& options);
Result<std::shared_ptr<AdapterShelf>> folder_shelf(const std::string& folder);

}  // namespace ft::service
