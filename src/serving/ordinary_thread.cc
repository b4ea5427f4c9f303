#include "serving/ordinary_thread.h"

#include <exception>
#include <new>
#include <string>
#include <utility>

namespace ft {

Status without_throwing(const std::function<Status()>& job) {
  try {
    return job();
  } catch (const std::bad_alloc&) {
    return does_not_fit("there is no memory to go on");
  } catch (const std::exception& e) {
    return internal_error(std::string("a call threw: ") + e.what());
  } catch (...) {
    return internal_error("a call threw");
  }
}

OrdinaryThread::~OrdinaryThread() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Status OrdinaryThread::run(const std::function<Status()>& job) {
  std::unique_lock lock(mutex_);
  job_ = &job;
  changed_.notify_all();
  changed_.wait(lock, [&] { return job_ == nullptr; });
  return std::move(result_);
}

void OrdinaryThread::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return job_ != nullptr || ended_; });
    if (job_ == nullptr) return;
    const std::function<Status()>& job = *job_;
    lock.unlock();
    Status status = without_throwing(job);
    lock.lock();
    result_ = std::move(status);
    job_ = nullptr;
    changed_.notify_all();
  }
}

}  // namespace ft
