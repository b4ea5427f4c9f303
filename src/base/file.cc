#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <utility>

#include "base/whole_file.h"

namespace ft {
namespace {

Status errno_error(const std::string& what, const std::string& path) {
  return io_error(what + " '" + path + "': " + std::strerror(errno));
}

// Closes on every way out.
struct Fd {
  int fd;
  ~Fd() {
    if (fd >= 0) ::close(fd);
  }
};

// Opening a pipe that nobody writes to must not wait; it is refused then.
constexpr int kReadOnly = O_RDONLY | O_CLOEXEC | O_NONBLOCK;

// Of what open() gave, which may be an error.
Result<size_t> size_of_regular(int fd, const std::string& path) {
  if (fd < 0) return errno_error("cannot open", path);
  struct stat info;
  if (::fstat(fd, &info) != 0) return errno_error("cannot stat", path);
  if (!S_ISREG(info.st_mode))
    return invalid_input("'" + path + "' is not a regular file");
  return static_cast<size_t>(info.st_size);
}

Status write_all(int fd, std::span<const std::byte> bytes,
                 const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("cannot write", path);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return ok_status();
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

// Between the name that a file is to get and six letters of mkostemp(). No
// one's files end so by accident.
constexpr std::string_view kTemporary = ".ft-tmp-";
constexpr size_t kRandomLetters = 6;

// Temporary files without a writer: theirs was killed.
void remove_leftovers(const std::string& folder) {
  std::error_code ignored;
  for (std::filesystem::directory_iterator at(folder, ignored), end;
       !ignored && at != end; at.increment(ignored)) {
    const std::string& path = at->path().native();
    if (!is_temporary_name(path)) continue;
    const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
    if (fd.fd >= 0 && ::flock(fd.fd, LOCK_EX | LOCK_NB) == 0)
      (void)::unlink(path.c_str());
  }
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  const Fd fd{::open(path.c_str(), kReadOnly)};
  FT_TRY(const size_t size, size_of_regular(fd.fd, path));
  MappedFile file;
  file.size_ = size;
  if (file.size_ == 0) return file;
  void* data = ::mmap(nullptr, file.size_, PROT_READ, MAP_PRIVATE, fd.fd, 0);
  if (data == MAP_FAILED) {
    file.size_ = 0;
    return errno_error("cannot map", path);
  }
  file.data_ = static_cast<const std::byte*>(data);
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

namespace {

// As many as there are, `bytes` at most.
Result<size_t> read_up_to(int fd, std::span<std::byte> bytes,
                          const std::string& path) {
  size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t n = ::read(fd, bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("cannot read", path);
    if (n == 0) break;
    at += static_cast<size_t>(n);
  }
  return at;
}

// A rename would put a file in the place of a pipe or device, and fails over a
// folder only when all is done.
Status check_replaceable(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode))
    return ok_status();
  return io_error("cannot write '" + path + "': it is " +
                  (S_ISDIR(info.st_mode) ? "a folder" : "not a regular file"));
}

}  // namespace

Result<std::vector<std::byte>> read_whole_file(
    const std::string& path,
    const std::function<Status(size_t bytes)>& reserve) {
  const Fd fd{::open(path.c_str(), kReadOnly)};
  FT_TRY(const size_t size, size_of_regular(fd.fd, path));
  FT_TRY_STATUS(reserve(size));
  std::vector<std::byte> bytes;
  try {
    bytes.resize(size);
  } catch (const std::exception&) {
    return does_not_fit("there is no memory for the " + std::to_string(size) +
                        " bytes of '" + path + "'");
  }
  FT_TRY(const size_t whole, read_up_to(fd.fd, bytes, path));
  if (whole < size)
    return invalid_input("'" + path + "' got shorter while it was read: " +
                         std::to_string(whole) + " bytes of " +
                         std::to_string(size));
  std::byte more[1];
  FT_TRY(const size_t behind, read_up_to(fd.fd, more, path));
  if (behind > 0)
    return invalid_input("'" + path + "' got longer than its " +
                         std::to_string(size) + " bytes while it was read");
  return bytes;
}

Result<Beginning> read_beginning(const std::string& path, size_t most) {
  const Fd fd{::open(path.c_str(), kReadOnly)};
  FT_TRY(const size_t size, size_of_regular(fd.fd, path));
  Beginning beginning{.bytes = std::vector<std::byte>(std::min(most, size)),
                      .file_bytes = size};
  FT_TRY(const size_t got, read_up_to(fd.fd, beginning.bytes, path));
  beginning.bytes.resize(got);
  return beginning;
}

AtomicFile::AtomicFile(int fd, std::string path, std::string temp)
    : fd_(fd), path_(std::move(path)), temp_(std::move(temp)) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      temp_(std::exchange(other.temp_, {})) {}

AtomicFile::~AtomicFile() {
  if (!temp_.empty()) (void)::unlink(temp_.c_str());
  if (fd_ >= 0) ::close(fd_);
}

// Another process may take the file for a leftover as long as it has no lock.
Result<AtomicFile> AtomicFile::create(const std::string& path, int mode) {
  FT_TRY_STATUS(check_replaceable(path));
  remove_leftovers(folder_of(path));
  for (int i = 0; i < 8; ++i) {
    std::string temp = path + std::string(kTemporary) + "XXXXXX";
    const int fd = ::mkostemp(temp.data(), O_CLOEXEC);
    if (fd < 0) return errno_error("cannot create", temp);
    AtomicFile file(fd, path, std::move(temp));
    (void)::flock(fd, LOCK_EX | LOCK_NB);  // some file systems have none
    struct stat info;
    if (::fstat(fd, &info) != 0) return errno_error("cannot stat", file.temp_);
    if (info.st_nlink == 0) continue;
    (void)::fchmod(fd, static_cast<mode_t>(mode));
    return file;
  }
  return io_error("cannot create '" + path + "': others remove it");
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  return write_all(fd_, bytes, path_);
}

Status AtomicFile::sync() {
  return ::fsync(fd_) == 0 ? ok_status() : errno_error("cannot sync", path_);
}

Status AtomicFile::commit() {
  FT_TRY_STATUS(sync());
  if (::rename(temp_.c_str(), path_.c_str()) != 0)
    return errno_error("cannot replace", path_);
  temp_.clear();
  return sync_folder(folder_of(path_));
}

// A second name, as renaming would replace a file that came meanwhile.
Status AtomicFile::commit_new() {
  FT_TRY_STATUS(sync());
  if (::link(temp_.c_str(), path_.c_str()) != 0) {
    if (errno == EEXIST)
      return usage_error("'" + path_ + "' exists and is not overwritten");
    return errno_error("cannot create", path_);
  }
  (void)::unlink(std::exchange(temp_, {}).c_str());
  return sync_folder(folder_of(path_));
}

Status write_file_atomically(const std::string& path,
                             std::span<const std::byte> bytes) {
  FT_TRY(AtomicFile file, AtomicFile::create(path));
  FT_TRY_STATUS(file.write(bytes));
  return file.commit();
}

Status write_file_atomically(const std::string& path, std::string_view text) {
  return write_file_atomically(
      path, std::as_bytes(std::span(text.data(), text.size())));
}

Status write_new_file(const std::string& path, std::span<const std::byte> bytes,
                      int mode) {
  FT_TRY(AtomicFile file, AtomicFile::create(path, mode));
  FT_TRY_STATUS(file.write(bytes));
  return file.commit_new();
}

bool is_temporary_name(std::string_view name) {
  const size_t ending = kTemporary.size() + kRandomLetters;
  return name.size() > ending &&
         name.substr(name.size() - ending).starts_with(kTemporary);
}

std::string_view final_name(std::string_view temporary_name) {
  FT_CHECK(is_temporary_name(temporary_name));
  temporary_name.remove_suffix(kTemporary.size() + kRandomLetters);
  return temporary_name;
}

Status remove_file(const std::string& path) {
  if (::unlink(path.c_str()) == 0) return sync_folder(folder_of(path));
  return errno == ENOENT ? ok_status() : errno_error("cannot remove", path);
}

// A folder that may not be read cannot be opened to be synced, and some file
// systems sync none (EINVAL): then the name is as safe as they make it.
Status sync_folder(const std::string& folder) {
  const Fd fd{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (fd.fd < 0 && errno == EACCES) return ok_status();
  if (fd.fd < 0) return errno_error("cannot open folder", folder);
  if (::fsync(fd.fd) == 0 || errno == EINVAL) return ok_status();
  return errno_error("cannot sync folder", folder);
}

Status check_writable(const std::string& path) {
  FT_TRY_STATUS(check_replaceable(path));
  const Status status = AtomicFile::create(path).status();
  return status.ok()
             ? status
             : io_error("cannot write '" + path + "': " + std::strerror(errno));
}

Status make_folder(const std::string& folder) {
  std::error_code error;
  if (std::filesystem::is_directory(folder, error)) return ok_status();
  const auto parent = std::filesystem::absolute(folder).parent_path();
  FT_TRY_STATUS(make_folder(parent.string()));
  if (::mkdir(folder.c_str(), 0755) != 0 &&
      (errno != EEXIST || !std::filesystem::is_directory(folder, error)))
    return errno_error("cannot make folder", folder);
  return sync_folder(parent.string());
}

Status write_folder(const std::string& folder, const FolderFiles& files) {
  const std::filesystem::path path = folder;
  FT_TRY_STATUS(make_folder(folder));
  std::vector<AtomicFile> staged;
  for (const auto& [name, bytes] : files) {
    FT_TRY_STATUS(make_folder((path / name).parent_path().string()));
    FT_TRY(AtomicFile file, AtomicFile::create((path / name).string()));
    FT_TRY_STATUS(file.write(bytes));
    FT_TRY_STATUS(file.sync());
    staged.push_back(std::move(file));
  }
  if (files.size() > 1)
    FT_TRY_STATUS(remove_file((path / files.back().first).string()));
  for (AtomicFile& file : staged) FT_TRY_STATUS(file.commit());
  return ok_status();
}

Result<std::string> read_text_file(const std::string& path) {
  FT_TRY(const MappedFile file, MappedFile::open(path));
  const auto bytes = file.bytes();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace ft
