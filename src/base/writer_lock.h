// One writer at a time, among processes that ask.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace ft {

// Says that this process alone changes what goes by `path`, in several files or
// reading before it writes; advice that only others who ask heed. It ends with
// its object, or with the process.
class WriterLock {
 public:
  // kIo where another one holds it for longer than `wait_ms`. File systems
  // without locks grant it always.
  static Result<WriterLock> acquire(const std::string& path, int wait_ms = 0);
  WriterLock(WriterLock&& other) noexcept;
  WriterLock& operator=(WriterLock&&) = delete;
  ~WriterLock();

 private:
  WriterLock(int fd, std::string file) : fd_(fd), file_(std::move(file)) {}
  int fd_;
  std::string file_;
};

}  // namespace ft
