#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

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

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (fd.fd < 0) return errno_error("cannot open", path);
  struct stat info;
  if (::fstat(fd.fd, &info) != 0) return errno_error("cannot stat", path);
  if (!S_ISREG(info.st_mode))
    return invalid_input("'" + path + "' is not a regular file");
  MappedFile file;
  file.size_ = static_cast<size_t>(info.st_size);
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

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  std::string temp = path + ".XXXXXX";
  const int fd = ::mkstemp(temp.data());
  if (fd < 0) return errno_error("cannot create", temp);
  (void)::fchmod(fd, 0644);
  return AtomicFile(fd, path, std::move(temp));
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  return write_all(fd_, bytes, path_);
}

Status AtomicFile::commit() {
  if (::fsync(fd_) != 0) return errno_error("cannot sync", path_);
  if (::rename(temp_.c_str(), path_.c_str()) != 0)
    return errno_error("cannot replace", path_);
  temp_.clear();
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
  std::string temp = path + ".XXXXXX";
  const Fd fd{::mkstemp(temp.data())};
  if (fd.fd < 0) return errno_error("cannot write", path);
  (void)::unlink(temp.c_str());
  return ok_status();
}

Status write_folder(const std::string& folder, const FolderFiles& files) {
  const std::filesystem::path path = folder;
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    return io_error("cannot make folder '" + folder + "': " + error.message());
  for (const auto& [name, bytes] : files) {
    std::filesystem::create_directories((path / name).parent_path(), error);
    FT_TRY_STATUS(write_file_atomically((path / name).string(), bytes));
  }
  return ok_status();
}

Result<std::string> read_text_file(const std::string& path) {
  FT_TRY(const MappedFile file, MappedFile::open(path));
  const auto bytes = file.bytes();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace ft
