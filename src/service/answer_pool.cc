#include "service/answer_pool.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>

namespace ft::service {

AnswerPool::AnswerPool(HttpEngine& engine, int wake, int threads,
                       int answer_seconds)
    : engine_(engine), wake_(wake), answer_seconds_(answer_seconds) {
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

void AnswerPool::add(Job job, bool is_last) {
  job.is_last = is_last;
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  added_.notify_one();
}

std::vector<AnswerPool::Done> AnswerPool::take_done() {
  const std::lock_guard lock(mutex_);
  return std::exchange(done_, {});
}

void AnswerPool::work() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      added_.wait(lock, [this] { return ended_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    const EngineAnswer answer =
        engine_.answer(job.request, job.is_network, job.is_last);
    const bool written = write_all(job.fd, answer.text);
    {
      const std::lock_guard lock(mutex_);
      done_.push_back({job.fd, answer.close || !written});
    }
    ::eventfd_write(wake_, 1);
  }
}

// False where the client is gone or does not read.
bool AnswerPool::write_all(int fd, std::string_view text) const {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::seconds(answer_seconds_);
  while (!text.empty()) {
    const ssize_t count = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (count > 0) {
      text.remove_prefix(static_cast<size_t>(count));
    } else if (errno == EAGAIN) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          until - Clock::now());
      pollfd wait{.fd = fd, .events = POLLOUT, .revents = 0};
      if (left.count() <= 0 ||
          ::poll(&wait, 1, static_cast<int>(left.count())) < 0)
        return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace ft::service
