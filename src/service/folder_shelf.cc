// A folder of adapter files: <name>.safetensors, one version each.
#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <span>

#include "adapters/adapter_bytes.h"
#include "adapters/adapter_file.h"
#include "base/file.h"
#include "base/whole_file.h"
#include "formats/safetensors/safetensors.h"
#include "service/adapter_shelf.h"

namespace ft::service {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEnding = ".safetensors";
// Above what any kernel takes for a step of a file's time (10 ms).
constexpr int64_t kStepNanoseconds = 50000000;

// Which file a path is now, and when it was written; empty: none.
std::string key_of(const std::string& path) {
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0 || !S_ISREG(s.st_mode)) return {};
  return fmt::format("{}-{}-{}.{:09}", s.st_ino, s.st_size, s.st_mtim.tv_sec,
                     s.st_mtim.tv_nsec);
}

// What one look reads of a file at most: a longer header says nothing here.
constexpr size_t kQuickHeader = 64 << 10, kLongestHeader = 8 << 20;
constexpr size_t kLengthBytes = 8;

// Files here are replaced and cut by others at any time: none is mapped. Nor is
// one read whole, as anything may lie in a folder, of any size.
Result<SafetensorsMetadata> metadata_of(const std::string& path,
                                        uint64_t& file_bytes) {
  FT_TRY(Beginning file, read_beginning(path, kLengthBytes + kQuickHeader));
  file_bytes = file.file_bytes;
  uint64_t length = 0;
  if (file.bytes.size() >= kLengthBytes)
    std::memcpy(&length, file.bytes.data(), kLengthBytes);
  if (length > kQuickHeader && length <= kLongestHeader) {
    FT_TRY(file, read_beginning(path, kLengthBytes + length));
  }
  FT_TRY(const size_t header, safetensors_header_bytes(file.bytes));
  return parse_safetensors_metadata(
      std::span(file.bytes).subspan(kLengthBytes, header));
}

// What the file says of itself. One that says nothing readable is refused when
// it is loaded, with the reason.
void read_what_it_says(const std::string& path, CatalogVersion& found) {
  const auto read = metadata_of(path, found.bytes);
  if (!read.ok()) return;
  const Metadata metadata(read->begin(), read->end());
  if (const auto at = metadata.find("method"); at != metadata.end())
    found.method = at->second;
  const auto version = adapter_version(metadata);
  if (version.ok()) found.version = static_cast<int64_t>(*version);
}

class FolderShelf : public AdapterShelf {
 public:
  explicit FolderShelf(std::string folder) : folder_(std::move(folder)) {}

  Result<Catalog> look() override;
  Result<int64_t> change_mark() override;
  fieldtune::AdapterOpener opener(const std::string& name,
                                  const CatalogVersion& version) override;
  Status use(const std::string&, int64_t) override { return no_slots(); }
  Status confirm(const std::string&) override { return no_slots(); }
  Status rollback(const std::string&) override { return no_slots(); }
  Result<std::string> publish(const std::string& name, const std::string& file,
                              bool) override {
    FT_TRY(const MappedFile made, MappedFile::open(file));
    FT_TRY_STATUS(write_file_atomically(path_of(name), made.bytes()));
    return std::string();
  }
  Status mark_used(const std::set<AdapterVersion>&) override {
    return ok_status();
  }

 private:
  std::string path_of(const std::string& name) const {
    return folder_ + "/" + name + kEnding;
  }
  Status no_slots() const {
    return usage_error(fmt::format(
        "'{}' is a folder: only a store has versions to choose from", folder_));
  }

  const std::string folder_;
};

Result<Catalog> FolderShelf::look() {
  std::error_code error;
  Catalog catalog;
  fs::directory_iterator at(folder_, error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    const fs::path& path = at->path();
    const std::string key = key_of(path);
    if (path.extension() != kEnding || key.empty()) continue;
    CatalogVersion found{.key = key};
    read_what_it_says(path, found);
    CatalogEntry& entry = catalog[path.stem()];
    entry.active = found.version;
    entry.versions = {std::move(found)};
  }
  if (error)
    return io_error(
        fmt::format("cannot read folder '{}': {}", folder_, error.message()));
  return catalog;
}

// Names that come and go, and files that are put in others' places, change the
// folder; one that is written over does not, and is seen by a reload. The
// folder's time goes in steps of a few milliseconds: while it may still get
// another change of the same time, the mark is another than afterwards.
Result<int64_t> FolderShelf::change_mark() {
  struct stat s {};
  if (::stat(folder_.c_str(), &s) != 0)
    return io_error(fmt::format("folder '{}' is gone", folder_));
  const int64_t changed =
      s.st_mtim.tv_sec * int64_t{1000000000} + s.st_mtim.tv_nsec;
  const int64_t now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count();
  return 2 * changed + (now - changed < kStepNanoseconds ? 1 : 0);
}

fieldtune::AdapterOpener FolderShelf::opener(const std::string& name,
                                             const CatalogVersion& version) {
  return [path = path_of(name),
          key = version.key](const fieldtune::AdapterRoom& room)
             -> Result<fieldtune::OpenedAdapter> {
    FT_TRY(std::vector<std::byte> bytes, read_adapter_bytes(path, room));
    if (key_of(path) != key)
      return io_error(fmt::format("'{}' is another file now; ask again", path));
    auto owner =
        std::make_shared<const std::vector<std::byte>>(std::move(bytes));
    return fieldtune::OpenedAdapter{.bytes = *owner,
                                    .owner = owner,
                                    .origin = "'" + path + "'",
                                    .sha256 = {}};
  };
}

}  // namespace

Result<std::shared_ptr<AdapterShelf>> folder_shelf(const std::string& folder) {
  auto shelf = std::make_shared<FolderShelf>(folder);
  FT_TRY_STATUS(shelf->look().status());
  return std::shared_ptr<AdapterShelf>(std::move(shelf));
}

}  // namespace ft::service
