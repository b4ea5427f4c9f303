// What the elements of an answer are called, by the adapter's name in the
// runtime; such a name always stands for the same file. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "fieldtune/runtime.h"

namespace ft::service {

class ClassNames {
 public:
  using Words = std::shared_ptr<const std::vector<std::string>>;

  // Asks the runtime the first time. Empty where the adapter does not say.
  Words of(fieldtune::Runtime& runtime, const std::string& in_runtime) {
    {
      const std::lock_guard lock(mutex_);
      if (const auto at = known_.find(in_runtime); at != known_.end())
        return at->second;
    }
    auto asked = runtime.classes(in_runtime);
    if (!asked.ok()) return std::make_shared<const std::vector<std::string>>();
    auto words =
        std::make_shared<const std::vector<std::string>>(std::move(*asked));
    const std::lock_guard lock(mutex_);
    if (known_.size() >= kMost) known_.clear();
    known_[in_runtime] = words;
    return words;
  }

 private:
  static constexpr size_t kMost = 4096;
  std::mutex mutex_;
  std::map<std::string, Words> known_;
};

}  // namespace ft::service
