#include "service/connection.h"

#include <sys/socket.h>

#include <cerrno>

namespace ft::service {
namespace {

constexpr int kRefusedSeconds = 2;

}  // namespace

bool Connection::is_overdue(Clock::time_point now,
                            const TimeLimits& limits) const {
  int limit = 0;
  switch (state) {
    case State::kAnswering: return false;
    case State::kRefused: limit = kRefusedSeconds; break;
    case State::kWriting: limit = limits.answer_seconds; break;
    case State::kReading:
      limit = is_idle()  ? limits.idle_seconds
              : has_head ? limits.request_seconds
                         : limits.head_seconds;
  }
  return now - since > std::chrono::seconds(limit);
}

bool Connection::send_some() {
  while (sent < unsent.size()) {
    const ssize_t count =
        ::send(socket.get(), unsent.data() + sent, unsent.size() - sent,
               MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN;
    sent += static_cast<size_t>(count);
  }
  std::string().swap(unsent);
  sent = 0;
  return true;
}

}  // namespace ft::service
