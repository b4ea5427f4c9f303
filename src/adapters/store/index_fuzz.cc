// libFuzzer entry: any index gives rows that are as index.h promises, or a
// Status, never a crash.
//
// The first byte says what the rest is: a whole file; changes to a whole one (a
// position and a byte each); the values of a row, put into a whole one; or
// changes to the log beside an index. SQLite reads and writes in memory
// (memory_files.h); nothing else differs from a store.
#include <cstddef>
#include <cstdint>
#include <string>

#include "adapters/store/index.h"
#include "adapters/store/memory_files.h"
#include "base/fuzz_seeds.h"

namespace {

using ft::store::Database;
using ft::store::Index;

constexpr const char* kPath = "/index.sqlite";

ft::store::MemoryFiles& files() {
  static ft::store::MemoryFiles& installed = ft::store::MemoryFiles::install();
  return installed;
}

ft::Result<Index> open_index() {
  return Index::open(kPath, Database::Mode::kWrite, 0, "fuzz");
}

void write_index(std::string_view text, std::string_view log = {}) {
  files().put(kPath, std::string(text));
  for (const char* end : {"-wal", "-shm", "-journal"})
    files().remove(kPath + std::string(end));
  if (!log.empty()) files().put(std::string(kPath) + "-wal", std::string(log));
}

fieldtune::StoredAdapter example() {
  return {.name = "me",
          .version = 1,
          .sha256 = std::string(64, 'a'),
          .base_sha256 = std::string(64, 'b'),
          .method = "lora",
          .bytes = 100,
          .metrics = {{"accuracy", 0.5}},
          .signature = "none",
          .added = 1};
}

// The files of an index with one row, which stands in the log: as a crash
// leaves them.
struct Whole {
  std::string index, log;
  Whole() {
    files().remove(kPath);
    FT_CHECK(Index::create(kPath, {.counter = 1}, "fuzz").ok());
    auto open = open_index();
    FT_CHECK(open.ok() && open->insert(example()).ok());
    index = files().get(kPath);
    log = files().get(std::string(kPath) + "-wal");
    FT_CHECK(!log.empty());
  }
};

const Whole& whole() {
  static const Whole both;
  return both;
}

// The same in one file.
const std::string& whole_index() {
  static const std::string text = [] {
    write_index(whole().index, whole().log);
    FT_CHECK(open_index().ok());  // folds the log
    return files().get(kPath);
  }();
  return text;
}

void check(const fieldtune::StoredAdapter& row) {
  FT_CHECK(ft::store::check_name(row.name).ok());
  FT_CHECK(row.version >= 1 && ft::store::is_sha256(row.sha256));
  FT_CHECK(row.parent_sha256.empty() ||
           ft::store::is_sha256(row.parent_sha256));
}

void read_all() {
  auto index = open_index();
  if (!index.ok()) return;
  (void)index->store_row().ok();
  (void)index->check_pages().ok();
  const auto rows = index->all();
  if (rows.ok())
    for (const auto& row : *rows) check(row);
  const auto active = index->active("me");
  if (active.ok() && *active) check(**active);
  (void)index->of_sha256(std::string(64, 'a')).ok();
  (void)index->count().ok();
  (void)index->insert(example()).ok();
}

// A row whose text columns are the parts of the input between zero bytes.
void insert_row(std::string_view text) {
  write_index(whole_index());
  auto index = open_index();
  FT_CHECK(index.ok());
  fieldtune::StoredAdapter row = example();
  std::string* columns[] = {&row.name,        &row.sha256, &row.parent_sha256,
                            &row.base_sha256, &row.method, &row.signature,
                            &row.signed_by};
  for (std::string* column : columns) {
    const size_t end = text.find('\0');
    *column = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  uint64_t number = 0;  // wraps around
  for (const char c : text) number = number * 257 + static_cast<uint8_t>(c);
  row.version = static_cast<int64_t>(number);
  row.bytes = number >> 3;
  row.added = static_cast<int64_t>(number >> 60) - 2;
  row.confirmed = static_cast<int64_t>(number >> 56) - 8;
  (void)index->insert(row).ok();
}

// Positions and bytes to put there.
std::string changed(std::string text, std::string_view changes) {
  for (size_t i = 0; i + 3 <= changes.size(); i += 3) {
    const size_t at = static_cast<uint8_t>(changes[i]) * size_t{256} +
                      static_cast<uint8_t>(changes[i + 1]);
    text[at % text.size()] = changes[i + 2];
  }
  return text;
}

}  // namespace

// SQLite allocates so often that AddressSanitizer's bookkeeping of each block
// takes half of the time; with less of it a crash is found as well, and
// explained when its input is run with the usual options.
extern "C" const char* __asan_default_options() {
  return "malloc_context_size=1:quarantine_size_mb=4:max_malloc_fill_size=0";
}

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  using std::string_literals::operator""s;
  ft::write_fuzz_seed("index", '\0' + whole_index());
  ft::write_fuzz_seed("one-byte", "\1\0\x64\2"s);
  ft::write_fuzz_seed("row", "\2me\0"s + std::string(64, 'a') + '\0' +
                                 std::string(64, 'c') + '\0' +
                                 std::string(64, 'b') + "\0lora\0none\0\0\1"s);
  ft::write_fuzz_seed("log", "\3\0\x30\1"s);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1,
                              size - 1);
  switch (data[0] % 4) {
    case 0: write_index(rest); break;
    case 1: write_index(changed(whole_index(), rest)); break;
    case 2: insert_row(rest); break;
    default: write_index(whole().index, changed(whole().log, rest));
  }
  read_all();
  return 0;
}
