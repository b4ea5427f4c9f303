// Which versions have answered since the shelf was last told, so that it knows
// what is in use when it has to make room. Thread-safe.
#pragma once

#include <mutex>
#include <set>
#include <string>

#include "service/adapter_shelf.h"

namespace ft::service {

class UseMarks {
 public:
  // The base alone and files without a version are nobody's.
  void used(const std::string& adapter, int64_t version);
  // Tells the shelf; where it fails, the next time tells all of it again.
  Status tell(AdapterShelf& shelf);
  // Why the last time failed; empty: it did not.
  std::string problem() const;

 private:
  mutable std::mutex mutex_;
  std::set<AdapterVersion> waiting_;
  std::string problem_;
};

}  // namespace ft::service
