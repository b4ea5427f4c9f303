#include "service/connection.h"

#include <sys/socket.h>

#include <cerrno>

namespace ft::service {
namespace {

constexpr int kRefusedSeconds = 2;

}  // namespace

bool send_some(int fd, std::string_view text, size_t& sent) {
  while (sent < text.size()) {
    const ssize_t count = ::send(fd, text.data() + sent, text.size() - sent,
                                 MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN;
    sent += static_cast<size_t>(count);
  }
  return true;
}

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
  if (!service::send_some(socket.get(), unsent, sent)) return false;
  if (sent < unsent.size()) return true;
  std::string().swap(unsent);
  sent = 0;
  return true;
}

}  // namespace ft::service
