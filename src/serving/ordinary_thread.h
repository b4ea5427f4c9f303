// A thread of the ordinary scheduling class that does single jobs for one of
// the idle class, which must not hold a lock that others wait for.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "base/result.h"

namespace ft {

// What throws, a caller's function or memory that ran out, would end the
// process on a thread of ours: an error instead.
Status without_throwing(const std::function<Status()>& job);

class OrdinaryThread {
 public:
  // Made by a thread of the ordinary class: a new one is of its maker's.
  OrdinaryThread() : thread_([this] { work(); }) {}
  OrdinaryThread(OrdinaryThread&&) = delete;
  ~OrdinaryThread();

  // Has the thread do it, waits, and returns what it came to, without_throwing.
  // One caller at a time.
  Status run(const std::function<Status()>& job);

 private:
  void work();

  std::mutex mutex_;  // of all below
  std::condition_variable changed_;
  const std::function<Status()>* job_ = nullptr;  // null: there is none
  Status result_ = ok_status();
  bool ended_ = false;
  std::thread thread_;  // last: uses the others
};

}  // namespace ft
