#include "service/answer_pool.h"

#include <sys/eventfd.h>

#include <algorithm>

#include "service/connection.h"

namespace ft::service {

AnswerPool::AnswerPool(HttpEngine& engine, int wake, int threads)
    : engine_(engine),
      wake_(wake),
      most_waiting_(static_cast<size_t>(std::max(1, threads / 2))) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

AnswerPool::~AnswerPool() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  added_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void AnswerPool::add(Job job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_[job.may_wait ? 1 : 0].push_back({added_jobs_++, std::move(job)});
  }
  added_.notify_one();
}

std::vector<AnswerPool::Done> AnswerPool::take_done() {
  const std::lock_guard lock(mutex_);
  return std::exchange(done_, {});
}

std::deque<AnswerPool::Numbered>* AnswerPool::next() {
  auto& [prompt, others] = jobs_;
  const bool may = !others.empty() && waiting_ < most_waiting_;
  if (may && (prompt.empty() || others.front().number < prompt.front().number))
    return &others;
  return prompt.empty() ? nullptr : &prompt;
}

void AnswerPool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    std::deque<Numbered>* from = nullptr;
    added_.wait(lock, [&] {
      from = next();
      return from != nullptr || (ended_ && jobs_[1].empty());
    });
    if (from == nullptr) return;
    const Job job = std::move(from->front().job);
    from->pop_front();
    waiting_ += job.may_wait ? 1 : 0;
    lock.unlock();
    Done done = answer(job);
    lock.lock();
    waiting_ -= job.may_wait ? 1 : 0;
    done_.push_back(std::move(done));
    ::eventfd_write(wake_, 1);
    // One that was not to begin may begin now, and those that end wait for it.
    if (job.may_wait) added_.notify_all();
  }
}

AnswerPool::Done AnswerPool::answer(const Job& job) const {
  const EngineAnswer made =
      engine_.answer(job.request, job.is_network, job.is_last);
  Done done{.fd = job.fd, .close = made.close};
  size_t sent = 0;
  done.is_gone = !send_some(job.fd, made.text, sent);
  if (!done.is_gone) done.unsent = made.text.substr(sent);
  return done;
}

}  // namespace ft::service
