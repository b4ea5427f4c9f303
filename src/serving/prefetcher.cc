#include "serving/prefetcher.h"

#include <utility>

namespace ft {

Prefetcher::Prefetcher(Load load)
    : load_(std::move(load)), thread_([this] { work(); }) {}

Prefetcher::~Prefetcher() {
  {
    const std::unique_lock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Prefetcher::ask(const std::string& name) {
  {
    const std::unique_lock lock(mutex_);
    names_.push_back(name);
  }
  changed_.notify_all();
}

void Prefetcher::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return names_.empty() && !busy_; });
}

uint64_t Prefetcher::failures() const {
  const std::unique_lock lock(mutex_);
  return failures_;
}

void Prefetcher::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || !names_.empty(); });
    if (stop_) return;
    const std::string name = std::move(names_.front());
    names_.pop_front();
    busy_ = true;
    lock.unlock();
    const Status status = load_(name);
    lock.lock();
    busy_ = false;
    failures_ += status.ok() ? 0 : 1;
    changed_.notify_all();
  }
}

}  // namespace ft
