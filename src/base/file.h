// Files: read-only mapping, and writing so that a power cut or a full disk
// leaves the old contents.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace ft {

// Owns a read-only private mapping of a whole file; views into it must not
// outlive it. An empty file maps to an empty span.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::string& path);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// A file that is written piece by piece and takes the place of `path` whole or
// not at all: commit() syncs and renames; without it nothing is left. Where
// commit() fails because the folder cannot be synced, the new file is there but
// may be gone after a power cut.
class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::string& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  Status write(std::span<const std::byte> bytes);
  Status commit();

 private:
  AtomicFile(int fd, std::string path, std::string temp);

  int fd_;
  std::string path_, temp_;  // temp_ is empty once renamed
};

// Writes `path` whole or not at all: temporary file beside it, write, fsync,
// rename, fsync of the folder. On any failure the old file is untouched and
// the temporary one removed.
Status write_file_atomically(const std::string& path,
                             std::span<const std::byte> bytes);
Status write_file_atomically(const std::string& path, std::string_view text);

// Makes names that were made in a folder durable.
Status sync_folder(const std::string& folder);

// kIo if the folder of `path` cannot be written to: found out before hours of
// work rather than after.
Status check_writable(const std::string& path);

// Files of a folder by name, and the folder that has them: made if it does not
// exist, and written in order, each atomically.
using FolderFiles = std::vector<std::pair<std::string, std::vector<std::byte>>>;
Status write_folder(const std::string& folder, const FolderFiles& files);

Result<std::string> read_text_file(const std::string& path);

}  // namespace ft
