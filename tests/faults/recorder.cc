// A library to preload: records the calls that change files below
// FT_FAULT_ROOT and makes one of them fail (record.h).
//
// It knows nothing of who calls. Writes through shared mappings and by
// io_uring are not seen; nor are writev and the *at() calls but openat, which
// none of our writers use. Not thread-safe beyond one lock around all of it.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "tests/faults/record.h"

namespace {

using ft::faults::Call;
using ft::faults::EntryHead;

template <class F>
F* next(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

struct File {
  std::string path;  // below the root; "" is the root itself
  bool folder;
};

struct Recorder {
  std::recursive_mutex mutex;
  std::string root;
  int record = -1;
  long at = 0, count = 1, calls = 0;
  int error = 0;                        // 0: exit
  std::map<int, File> open;             // by descriptor
  std::map<uint64_t, uint64_t> inodes;  // to ids
  uint64_t last_id = 0;

  Recorder() {
    const char* folder = std::getenv("FT_FAULT_ROOT");
    if (folder == nullptr) return;
    root = folder;
    const char* path = std::getenv("FT_FAULT_RECORD");
    if (path != nullptr && *path != 0)
      record = next<int(const char*, int, ...)>("open")(
          path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (const char* n = std::getenv("FT_FAULT_AT")) at = std::atol(n);
    if (const char* n = std::getenv("FT_FAULT_FOR")) count = std::atol(n);
    const char* kind = std::getenv("FT_FAULT_KIND");
    const std::string word = kind != nullptr ? kind : "exit";
    error = word == "enospc"  ? ENOSPC
            : word == "eio"   ? EIO
            : word == "erofs" ? EROFS
                              : 0;
  }

  // The path below the root, or false.
  bool below(const char* path, std::string& rest) const {
    if (root.empty() || path == nullptr) return false;
    std::string full = path;
    if (full[0] != '/') {
      char cwd[PATH_MAX];
      if (getcwd(cwd, sizeof(cwd)) == nullptr) return false;
      full = std::string(cwd) + "/" + full;
    }
    while (full.size() > 1 && full.back() == '/') full.pop_back();
    if (full == root) {
      rest.clear();
      return true;
    }
    if (full.compare(0, root.size() + 1, root + "/") != 0) return false;
    rest = full.substr(root.size() + 1);
    return true;
  }

  // True where the call is to fail, with errno set.
  bool fails() {
    ++calls;
    if (at == 0 || calls < at) return false;
    if (error == 0) _exit(86);
    if (count != 0 && calls >= at + count) return false;
    errno = error;
    return true;
  }

  uint64_t id_of(int fd, bool is_new) {
    struct stat info;
    if (fstat(fd, &info) != 0) return 0;
    uint64_t& id = inodes[info.st_ino];
    if (id == 0 || is_new) id = ++last_id;
    return id;
  }

  void put(EntryHead head, const std::string& path, const std::string& other,
           const void* data) {
    if (record < 0) return;
    const int saved = errno;
    head.path_bytes = static_cast<uint32_t>(path.size());
    head.other_bytes = static_cast<uint32_t>(other.size());
    std::string entry(reinterpret_cast<const char*>(&head), sizeof(head));
    entry += path + other;
    entry.append(static_cast<const char*>(data), head.data_bytes);
    static auto* write = next<ssize_t(int, const void*, size_t)>("write");
    if (write(record, entry.data(), entry.size()) !=
        static_cast<ssize_t>(entry.size()))
      abort();
    errno = saved;
  }
};

Recorder& recorder() {
  static auto* one = new Recorder;  // outlives everything that calls
  return *one;
}

using Lock = std::lock_guard<std::recursive_mutex>;

// A call on a path below the root: it fails, or `call` does it.
template <class F>
int on_path(Call kind, const char* path, const char* to, F call) {
  Recorder& r = recorder();
  const Lock lock(r.mutex);
  std::string rest, other;
  const bool inside = r.below(path, rest);
  const bool to_inside = to != nullptr && r.below(to, other);
  if (!inside && !to_inside) return call();
  const bool failed = r.fails();
  const int result = failed ? -1 : call();
  if (result == 0 || failed)
    r.put({.call = kind, .error = failed ? errno : 0}, rest, other, "");
  return result;
}

// A call on an open file below the root. `call` gives what it did; `head` is
// filled by `describe` before it.
const File* tracked(int fd) {
  Recorder& r = recorder();
  const auto at = r.open.find(fd);
  return at == r.open.end() ? nullptr : &at->second;
}

int open_file(const char* name, int dir, const char* path, int flags,
              mode_t mode) {
  Recorder& r = recorder();
  const Lock lock(r.mutex);
  const auto call = [&] {
    if (dir != AT_FDCWD)
      return next<int(int, const char*, int, ...)>(name)(dir, path, flags,
                                                         mode);
    return next<int(const char*, int, ...)>(name)(path, flags, mode);
  };
  std::string rest;
  if ((dir != AT_FDCWD && path[0] != '/') || !r.below(path, rest))
    return call();
  struct stat before;
  const bool existed = stat(path, &before) == 0;
  const bool makes = !existed && (flags & O_CREAT) != 0;
  const bool empties = existed && (flags & O_TRUNC) != 0;
  if ((makes || empties) && r.fails()) return -1;
  const int fd = call();
  if (fd < 0) return fd;
  struct stat info;
  fstat(fd, &info);
  r.open[fd] = {rest, S_ISDIR(info.st_mode)};
  const uint64_t id = r.id_of(fd, makes);
  if (makes)
    r.put({.call = Call::kOpen, .id = id}, rest, "", "");
  else if (empties)
    r.put({.call = Call::kTruncate, .id = id}, rest, "", "");
  return fd;
}

mode_t mode_of(int flags, va_list list) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0
             ? static_cast<mode_t>(va_arg(list, int))
             : 0;
}

template <class F>
int make_temporary(char* path, F call) {
  Recorder& r = recorder();
  const Lock lock(r.mutex);
  std::string rest;
  const bool inside = r.below(path, rest);
  if (inside && r.fails()) return -1;
  const int fd = call();
  if (!inside || fd < 0) return fd;
  r.below(path, rest);
  r.open[fd] = {rest, false};
  r.put({.call = Call::kOpen, .id = r.id_of(fd, true)}, rest, "", "");
  return fd;
}

// A write that fails has written nothing; ENOSPC may come after the first
// half, as on a disk that fills up.
template <class F>
ssize_t write_at(int fd, off_t offset, const void* data, size_t size, F call) {
  Recorder& r = recorder();
  const Lock lock(r.mutex);
  const File* file = tracked(fd);
  if (file == nullptr) return call(size);
  if (offset < 0) {
    static auto* seek = next<off_t(int, off_t, int)>("lseek64");
    const bool appends = (fcntl(fd, F_GETFL) & O_APPEND) != 0;
    offset = seek(fd, 0, appends ? SEEK_END : SEEK_CUR);
  }
  if (r.fails()) {
    const int error = errno;
    const size_t half = error == ENOSPC && r.calls % 2 == 0 ? size / 2 : 0;
    const ssize_t done = half > 0 ? call(half) : -1;
    r.put({.call = Call::kWrite,
           .error = half > 0 ? 0 : error,
           .id = r.id_of(fd, false),
           .offset = static_cast<uint64_t>(offset),
           .data_bytes = static_cast<uint32_t>(half)},
          file->path, "", data);
    if (half == 0) errno = error;
    return done;
  }
  const ssize_t done = call(size);
  if (done > 0)
    r.put({.call = Call::kWrite,
           .id = r.id_of(fd, false),
           .offset = static_cast<uint64_t>(offset),
           .data_bytes = static_cast<uint32_t>(done)},
          file->path, "", data);
  return done;
}

// Truncations and syncs.
template <class F>
int on_file(Call kind, int fd, off_t offset, F call) {
  Recorder& r = recorder();
  const Lock lock(r.mutex);
  const File* file = tracked(fd);
  if (file == nullptr) return call();
  if (kind == Call::kSync && file->folder) kind = Call::kSyncFolder;
  const bool failed = r.fails();
  const int result = failed ? -1 : call();
  if (result == 0 || failed)
    r.put({.call = kind,
           .error = failed ? errno : 0,
           .id = r.id_of(fd, false),
           .offset = static_cast<uint64_t>(offset)},
          file->path, "", "");
  return result;
}

}  // namespace

#define FT_EXPORT extern "C" __attribute__((visibility("default")))

FT_EXPORT void ft_fault_mark(const char* text) {
  Recorder& r = recorder();
  const Lock lock(r.mutex);
  r.put({.call = Call::kMark,
         .data_bytes = static_cast<uint32_t>(std::strlen(text))},
        "", "", text);
}

FT_EXPORT int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = mode_of(flags, list);
  va_end(list);
  return open_file("open", AT_FDCWD, path, flags, mode);
}

FT_EXPORT int open64(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = mode_of(flags, list);
  va_end(list);
  return open_file("open64", AT_FDCWD, path, flags, mode);
}

FT_EXPORT int mkstemp(char* path) {
  static auto* real = next<int(char*)>("mkstemp");
  return make_temporary(path, [&] { return real(path); });
}
FT_EXPORT int mkstemp64(char* path) {
  static auto* real = next<int(char*)>("mkstemp64");
  return make_temporary(path, [&] { return real(path); });
}
FT_EXPORT int mkostemp(char* path, int flags) {
  static auto* real = next<int(char*, int)>("mkostemp");
  return make_temporary(path, [&] { return real(path, flags); });
}
FT_EXPORT int mkostemp64(char* path, int flags) {
  static auto* real = next<int(char*, int)>("mkostemp64");
  return make_temporary(path, [&] { return real(path, flags); });
}

FT_EXPORT int close(int fd) {
  Recorder& r = recorder();
  const Lock lock(r.mutex);
  r.open.erase(fd);
  static auto* real = next<int(int)>("close");
  return real(fd);
}

FT_EXPORT ssize_t write(int fd, const void* data, size_t size) {
  static auto* real = next<ssize_t(int, const void*, size_t)>("write");
  return write_at(fd, -1, data, size,
                  [&](size_t n) { return real(fd, data, n); });
}

FT_EXPORT ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  static auto* real = next<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  return write_at(fd, at, data, size,
                  [&](size_t n) { return real(fd, data, n, at); });
}

FT_EXPORT ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) {
  static auto* real =
      next<ssize_t(int, const void*, size_t, off64_t)>("pwrite64");
  return write_at(fd, at, data, size,
                  [&](size_t n) { return real(fd, data, n, at); });
}

FT_EXPORT int ftruncate(int fd, off_t size) noexcept {
  static auto* real = next<int(int, off_t)>("ftruncate");
  return on_file(Call::kTruncate, fd, size, [&] { return real(fd, size); });
}

FT_EXPORT int ftruncate64(int fd, off64_t size) noexcept {
  static auto* real = next<int(int, off64_t)>("ftruncate64");
  return on_file(Call::kTruncate, fd, size, [&] { return real(fd, size); });
}

FT_EXPORT int fsync(int fd) {
  static auto* real = next<int(int)>("fsync");
  return on_file(Call::kSync, fd, 0, [&] { return real(fd); });
}

FT_EXPORT int fdatasync(int fd) {
  static auto* real = next<int(int)>("fdatasync");
  return on_file(Call::kSync, fd, 0, [&] { return real(fd); });
}

FT_EXPORT int rename(const char* from, const char* to) noexcept {
  static auto* real = next<int(const char*, const char*)>("rename");
  return on_path(Call::kRename, from, to, [&] { return real(from, to); });
}

FT_EXPORT int link(const char* from, const char* to) noexcept {
  static auto* real = next<int(const char*, const char*)>("link");
  return on_path(Call::kLink, from, to, [&] { return real(from, to); });
}

FT_EXPORT int unlink(const char* path) noexcept {
  static auto* real = next<int(const char*)>("unlink");
  return on_path(Call::kUnlink, path, nullptr, [&] { return real(path); });
}

// What std::filesystem::remove() calls: of a file only.
FT_EXPORT int remove(const char* path) noexcept {
  struct stat info;
  static auto* real = next<int(const char*)>("remove");
  if (lstat(path, &info) == 0 && S_ISDIR(info.st_mode))
    return on_path(Call::kRemoveFolder, path, nullptr,
                   [&] { return real(path); });
  return on_path(Call::kUnlink, path, nullptr, [&] { return real(path); });
}

FT_EXPORT int mkdir(const char* path, mode_t mode) noexcept {
  static auto* real = next<int(const char*, mode_t)>("mkdir");
  return on_path(Call::kMakeFolder, path, nullptr,
                 [&] { return real(path, mode); });
}

FT_EXPORT int rmdir(const char* path) noexcept {
  static auto* real = next<int(const char*)>("rmdir");
  return on_path(Call::kRemoveFolder, path, nullptr,
                 [&] { return real(path); });
}
