// A thread that loads what will be asked for soon, in the order of the asking.
//
// Not for work that somebody waits for: an inference loads what it needs
// itself.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/result.h"

namespace ft {

class Prefetcher {
 public:
  using Load = std::function<Status(const std::string& name)>;

  explicit Prefetcher(Load load);
  // Leaves undone what has not begun.
  ~Prefetcher();

  void ask(const std::string& name);
  // Until all that was asked for is done.
  void wait();
  uint64_t failures() const;

 private:
  void work();

  const Load load_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> names_;
  bool busy_ = false, stop_ = false;
  uint64_t failures_ = 0;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace ft
