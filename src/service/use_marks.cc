#include "service/use_marks.h"

#include <utility>

namespace ft::service {

void UseMarks::used(const std::string& adapter, int64_t version) {
  if (adapter.empty() || version <= 0) return;
  const std::lock_guard lock(mutex_);
  waiting_.emplace(adapter, version);
}

Status UseMarks::tell(AdapterShelf& shelf) {
  std::set<AdapterVersion> told;
  {
    const std::lock_guard lock(mutex_);
    told = std::exchange(waiting_, {});
  }
  if (told.empty()) return ok_status();
  Status status = shelf.mark_used(told);
  const std::lock_guard lock(mutex_);
  problem_ = status.message();
  if (!status.ok()) waiting_.merge(told);
  return status;
}

std::string UseMarks::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

}  // namespace ft::service
