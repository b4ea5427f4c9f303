#include "adapters/store/memory_files.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace ft::store {
namespace {

// No larger file comes about, whatever an index asks for.
constexpr sqlite3_int64 kLargestFile = 32 << 20;

struct Handle {
  sqlite3_file base;  // SQLite's part, first
  std::shared_ptr<MemoryFiles::File> file;
  int lock = SQLITE_LOCK_NONE;
};

Handle& handle(sqlite3_file* f) { return *reinterpret_cast<Handle*>(f); }
std::string& bytes_of(sqlite3_file* f) { return handle(f).file->bytes; }

int close_file(sqlite3_file* f) {
  handle(f).file.reset();
  return SQLITE_OK;
}

int read_file(sqlite3_file* f, void* to, int size, sqlite3_int64 at) {
  const std::string& bytes = bytes_of(f);
  const auto length = static_cast<sqlite3_int64>(bytes.size());
  const auto there = std::clamp<sqlite3_int64>(length - at, 0, size);
  if (there > 0) std::memcpy(to, bytes.data() + at, static_cast<size_t>(there));
  if (there == size) return SQLITE_OK;
  std::memset(static_cast<char*>(to) + there, 0,
              static_cast<size_t>(size - there));
  return SQLITE_IOERR_SHORT_READ;
}

int write_file(sqlite3_file* f, const void* from, int size, sqlite3_int64 at) {
  std::string& bytes = bytes_of(f);
  if (at + size > kLargestFile) return SQLITE_FULL;
  const auto end = static_cast<size_t>(at + size);
  if (bytes.size() < end) bytes.resize(end);
  std::memcpy(bytes.data() + at, from, static_cast<size_t>(size));
  return SQLITE_OK;
}

int truncate_file(sqlite3_file* f, sqlite3_int64 size) {
  if (size > kLargestFile) return SQLITE_FULL;
  bytes_of(f).resize(static_cast<size_t>(size));
  return SQLITE_OK;
}

int sync_file(sqlite3_file*, int) { return SQLITE_OK; }

int file_size(sqlite3_file* f, sqlite3_int64* size) {
  *size = static_cast<sqlite3_int64>(bytes_of(f).size());
  return SQLITE_OK;
}

int lock_file(sqlite3_file* f, int level) {
  handle(f).lock = std::max(handle(f).lock, level);
  return SQLITE_OK;
}

int unlock_file(sqlite3_file* f, int level) {
  handle(f).lock = std::min(handle(f).lock, level);
  return SQLITE_OK;
}

int check_reserved_lock(sqlite3_file* f, int* out) {
  *out = handle(f).lock >= SQLITE_LOCK_RESERVED ? 1 : 0;
  return SQLITE_OK;
}

int file_control(sqlite3_file*, int op, void*) {
  return op == SQLITE_FCNTL_PERSIST_WAL ? SQLITE_OK : SQLITE_NOTFOUND;
}

int sector_size(sqlite3_file*) { return 4096; }
int characteristics(sqlite3_file*) { return 0; }

int map_shared(sqlite3_file* f, int region, int size, int extend,
               void volatile** out) {
  auto& shared = handle(f).file->shared;
  const auto count = static_cast<size_t>(region) + 1;
  *out = nullptr;
  if (shared.size() < count && extend == 0) return SQLITE_OK;
  while (shared.size() < count)
    shared.push_back(std::make_unique<char[]>(static_cast<size_t>(size)));
  *out = shared[count - 1].get();
  return SQLITE_OK;
}

int lock_shared(sqlite3_file*, int, int, int) { return SQLITE_OK; }
void shared_barrier(sqlite3_file*) {}

int unmap_shared(sqlite3_file* f, int remove) {
  if (remove != 0) handle(f).file->shared.clear();
  return SQLITE_OK;
}

constexpr sqlite3_io_methods kMethods = {
    .iVersion = 2,
    .xClose = close_file,
    .xRead = read_file,
    .xWrite = write_file,
    .xTruncate = truncate_file,
    .xSync = sync_file,
    .xFileSize = file_size,
    .xLock = lock_file,
    .xUnlock = unlock_file,
    .xCheckReservedLock = check_reserved_lock,
    .xFileControl = file_control,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
    .xShmMap = map_shared,
    .xShmLock = lock_shared,
    .xShmBarrier = shared_barrier,
    .xShmUnmap = unmap_shared,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

MemoryFiles& files_of(sqlite3_vfs* vfs) {
  return *static_cast<MemoryFiles*>(vfs->pAppData);
}

// A file without a name is a temporary one.
int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* f, int flags,
              int* out_flags) {
  f->pMethods = nullptr;
  auto file = name == nullptr
                  ? std::make_shared<MemoryFiles::File>()
                  : files_of(vfs).open(name, (flags & SQLITE_OPEN_CREATE) != 0);
  if (file == nullptr) return SQLITE_CANTOPEN;
  new (f) Handle{{&kMethods}, std::move(file)};
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int delete_file(sqlite3_vfs* vfs, const char* name, int) {
  files_of(vfs).remove(name);
  return SQLITE_OK;
}

int access_file(sqlite3_vfs* vfs, const char* name, int, int* out) {
  *out = files_of(vfs).has(name) ? 1 : 0;
  return SQLITE_OK;
}

int full_path(sqlite3_vfs*, const char* name, int size, char* out) {
  sqlite3_snprintf(size, out, "%s", name);
  return SQLITE_OK;
}

// Equal inputs, equal runs.
int randomness(sqlite3_vfs*, int size, char* out) {
  std::memset(out, 0x5a, static_cast<size_t>(size));
  return size;
}

int sleep_for(sqlite3_vfs*, int us) { return us; }

int current_time(sqlite3_vfs*, sqlite3_int64* ms) {
  *ms = sqlite3_int64{212'000'000} * 1'000'000;
  return SQLITE_OK;
}

}  // namespace

MemoryFiles& MemoryFiles::install() {
  static auto* files = new MemoryFiles;
  static sqlite3_vfs vfs = {
      .iVersion = 2,
      .szOsFile = static_cast<int>(sizeof(Handle)),
      .mxPathname = 512,
      .zName = "ft-memory",
      .pAppData = files,
      .xOpen = open_file,
      .xDelete = delete_file,
      .xAccess = access_file,
      .xFullPathname = full_path,
      .xRandomness = randomness,
      .xSleep = sleep_for,
      .xCurrentTimeInt64 = current_time,
  };
  FT_CHECK(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
  return *files;
}

void MemoryFiles::put(const std::string& name, std::string bytes) {
  files_[name] = std::make_shared<File>(File{std::move(bytes), {}});
}

std::string MemoryFiles::get(const std::string& name) const {
  const auto at = files_.find(name);
  return at == files_.end() ? std::string() : at->second->bytes;
}

std::shared_ptr<MemoryFiles::File> MemoryFiles::open(const std::string& name,
                                                     bool make) {
  const auto at = files_.find(name);
  if (at != files_.end()) return at->second;
  if (!make) return nullptr;
  return files_[name] = std::make_shared<File>();
}

}  // namespace ft::store
