#include "base/writer_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ft {

// A temporary name (is_temporary_name() of base/file.h): one that a killed
// process leaves is removed by the next that writes there.
constexpr const char* kEnding = ".ft-tmp-locked";

// The lock is a file that the next writer in the folder takes for a leftover
// once nobody holds it, so it is never removed from under its holder.
Result<WriterLock> WriterLock::acquire(const std::string& path, int wait_ms) {
  const std::string file = path + kEnding;
  for (int waited_ms = 0;;) {
    const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
      return io_error("cannot create '" + file + "': " + std::strerror(errno));
    const bool refused =
        ::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    struct stat info;
    const bool removed = ::fstat(fd, &info) == 0 && info.st_nlink == 0;
    if (!refused && !removed) return WriterLock(fd, file);
    ::close(fd);
    if (!refused) continue;
    if (waited_ms >= wait_ms)
      return io_error("'" + path +
                      "' is being written by another process; try again when "
                      "it has finished");
    constexpr int kPauseMs = 10;
    ::usleep(kPauseMs * 1000);
    waited_ms += kPauseMs;
  }
}

WriterLock::WriterLock(WriterLock&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), file_(std::move(other.file_)) {}

WriterLock::~WriterLock() {
  if (fd_ < 0) return;
  (void)::unlink(file_.c_str());
  ::close(fd_);
}

}  // namespace ft
