// libFuzzer entry: any index gives rows that are as index.h promises, or a
// Status, never a crash.
//
// The first byte says what the rest is: a whole file; changes to a whole one (a
// position and a byte each); or the values of a row, put into a whole one.
#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "adapters/store/index.h"
#include "base/file.h"

namespace {

using ft::store::Database;
using ft::store::Index;

const std::string& index_path() {
  static const std::string path =
      (std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp") +
      std::string("/ft_index_fuzz_") + std::to_string(getpid());
  return path;
}

void write_index(std::string_view text) {
  const int fd =
      ::open(index_path().c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  FT_CHECK(::write(fd, text.data(), text.size()) ==
           static_cast<ssize_t>(text.size()));
  ::close(fd);
  for (const char* end : {"-wal", "-shm", "-journal"})
    ::unlink((index_path() + end).c_str());
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

// The file of an index with one row.
const std::string& whole_index() {
  static const std::string text = [] {
    write_index("");
    FT_CHECK(Index::create(index_path(), {.counter = 1}, "fuzz").ok());
    {
      auto index = Index::open(index_path(), Database::Mode::kWrite, 0, "fuzz");
      FT_CHECK(index.ok() && index->insert(example()).ok());
    }
    return ft::read_text_file(index_path()).value();
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
  auto index = Index::open(index_path(), Database::Mode::kWrite, 0, "fuzz");
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
  auto index = Index::open(index_path(), Database::Mode::kWrite, 0, "fuzz");
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
  for (const char c : text) {
    row.version = row.version * 131 + c;
    row.bytes = row.bytes * 257 + static_cast<uint8_t>(c);
    row.added += c;
    row.confirmed -= c;
  }
  (void)index->insert(row).ok();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1,
                              size - 1);
  if (data[0] % 3 == 0) {
    write_index(rest);
  } else if (data[0] % 3 == 1) {
    std::string text = whole_index();
    for (size_t i = 0; i + 3 <= rest.size(); i += 3) {
      const size_t at = static_cast<uint8_t>(rest[i]) * size_t{256} +
                        static_cast<uint8_t>(rest[i + 1]);
      text[at % text.size()] = rest[i + 2];
    }
    write_index(text);
  } else {
    insert_row(rest);
  }
  read_all();
  return 0;
}
