// One writer of a store at a time: flock() on a file of its folder.
//
// SQLite's own lock ends with a transaction, but files are removed after the
// one that forgets them, and nobody may add one of them in between. The kernel
// lets go of it when a process dies.
#pragma once

#include <string>

#include "base/result.h"

namespace ft::store {

class WriteLock {
 public:
  // Waits up to `busy_ms`. `where` begins every sentence.
  static Result<WriteLock> acquire(const std::string& path, int busy_ms,
                                   const std::string& where);
  // Keeps writers out while one looks at what they leave; needs no more than to
  // read.
  static Result<WriteLock> keep_out(const std::string& path, int busy_ms,
                                    const std::string& where);
  WriteLock(WriteLock&& other) noexcept;
  WriteLock& operator=(WriteLock&&) = delete;
  ~WriteLock();

 private:
  explicit WriteLock(int fd) : fd_(fd) {}
  Status wait(int operation, int busy_ms, const std::string& where) const;
  int fd_;
};

}  // namespace ft::store
