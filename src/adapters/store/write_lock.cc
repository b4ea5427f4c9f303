#include "adapters/store/write_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

namespace ft::store {

WriteLock::WriteLock(WriteLock&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)) {}

WriteLock::~WriteLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<WriteLock> WriteLock::acquire(const std::string& path, int busy_ms,
                                     const std::string& where) {
  WriteLock lock(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644));
  if (lock.fd_ < 0)
    return io_error(
        fmt::format("{} cannot be changed: {}", where, std::strerror(errno)));
  FT_TRY_STATUS(lock.wait(LOCK_EX, busy_ms, where));
  return lock;
}

Result<WriteLock> WriteLock::keep_out(const std::string& path, int busy_ms,
                                      const std::string& where) {
  // A pipe must not wait for who writes into it.
  WriteLock lock(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (lock.fd_ < 0)
    return io_error(
        fmt::format("{} cannot be locked: {}", where, std::strerror(errno)));
  FT_TRY_STATUS(lock.wait(LOCK_SH, busy_ms, where));
  return lock;
}

Status WriteLock::wait(int operation, int busy_ms,
                       const std::string& where) const {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::milliseconds(busy_ms);
  while (::flock(fd_, operation | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      return io_error(
          fmt::format("{} cannot be locked: {}", where, std::strerror(errno)));
    if (Clock::now() >= end)
      return io_error(fmt::format(
          "{} is being written by another process (waited {} ms); try again "
          "when it has finished",
          where, busy_ms));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return ok_status();
}

}  // namespace ft::store
