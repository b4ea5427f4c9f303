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

// The one way to write a file: piece by piece into a temporary one beside it,
// which takes the place of `path` whole or not at all. commit() syncs and
// renames; without it nothing is left. Where commit() fails because the folder
// cannot be synced, the new file is there but may be gone after a power cut.
//
// A process that is killed leaves the temporary file. Its name says what it is
// (is_temporary_name()) and its writer holds a lock on it, so that the next
// create() in the folder removes those that nobody writes any more.
class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::string& path, int mode = 0644);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  Status write(std::span<const std::byte> bytes);
  Status commit();
  // Fails with kUsage where `path` exists; it stays as it is.
  Status commit_new();
  // The first half of commit(): nothing but a full folder can fail after it.
  Status sync();

 private:
  AtomicFile(int fd, std::string path, std::string temp);

  int fd_;
  std::string path_, temp_;  // temp_ is empty once renamed
};

// Writes `path` whole or not at all. On any failure the old file is untouched
// and the temporary one removed.
Status write_file_atomically(const std::string& path,
                             std::span<const std::byte> bytes);
Status write_file_atomically(const std::string& path, std::string_view text);
// The same for a file that must not exist yet (kUsage).
Status write_new_file(const std::string& path, std::span<const std::byte> bytes,
                      int mode = 0644);

// Whether a file is one of AtomicFile that was not committed.
bool is_temporary_name(std::string_view name);
// The name that it was to get.
std::string_view final_name(std::string_view temporary_name);

// Removes a file for good: its name is gone from disk too. No error where there
// is none.
Status remove_file(const std::string& path);

// Makes names that were made in a folder durable.
Status sync_folder(const std::string& folder);

// Makes a folder and those that it is in, for good. No error where it is there.
Status make_folder(const std::string& folder);

// kIo if the folder of `path` cannot be written to: found out before hours of
// work rather than after.
Status check_writable(const std::string& path);

// Files of a folder by name, and the folder that has them: made if it does not
// exist, and written in order, each atomically. They belong together, so none
// of one writing is beside those of another without a sign of it: all are on
// disk before anything is replaced, and then the last of the list, which
// readers ask for first, is missing until the others are there.
using FolderFiles = std::vector<std::pair<std::string, std::vector<std::byte>>>;
Status write_folder(const std::string& folder, const FolderFiles& files);

Result<std::string> read_text_file(const std::string& path);

}  // namespace ft
