#include "adapters/adapter_bytes.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "formats/safetensors/safetensors.h"
#include "tests/peak_resident.h"

namespace ft {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kGigabyte = uint64_t{1} << 30;

// Its length, a header, and holes up to so many bytes, which take no place on
// the disk.
class SparseFile {
 public:
  SparseFile(uint64_t length, const std::string& header, uint64_t bytes) {
    std::string begin(sizeof length, 0);
    std::memcpy(begin.data(), &length, sizeof length);
    std::ofstream(path_, std::ios::binary) << begin << header;
    fs::resize_file(path_, bytes);
  }
  ~SparseFile() { fs::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = fs::path(testing::TempDir()) /
                      fmt::format("ft_sparse_{}.safetensors", getpid());
};

std::string header_of(uint64_t tensor_bytes) {
  return fmt::format(
      R"({{"a":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}}})",
      tensor_bytes);
}

void expect_refused(const SparseFile& file, Code code,
                    const std::vector<std::string>& words) {
  const size_t before = peak_resident_kb();
  const auto read = read_adapter_bytes(file.path());
  EXPECT_LT(peak_resident_kb(), before + 4 * 1024);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.status().code(), code);
  for (const std::string& word : words)
    EXPECT_NE(read.status().message().find(word), std::string::npos)
        << read.status().message();
}

TEST(AdapterBytes, WhatOnlyClaimsGigabytesIsNotRead) {
  // The header as long as the file.
  expect_refused(SparseFile(5 * kGigabyte - 8, "{", 5 * kGigabyte),
                 Code::kInvalidInput,
                 {"size check", "5368709112", "100000000", "5368709120"});
  expect_refused(SparseFile(kMaxHeaderBytes + 1, "{", kGigabyte),
                 Code::kInvalidInput, {"100000001", "100000000 bytes"});
  // Longer than the file.
  expect_refused(SparseFile(9 * kGigabyte, "{", 5 * kGigabyte),
                 Code::kInvalidInput,
                 {"size check", "9663676416", "5368709120 bytes"});
  expect_refused(SparseFile(UINT64_MAX, "{", 5 * kGigabyte),
                 Code::kInvalidInput, {"18446744073709551615"});
  // A tensor of other bytes than there are.
  const std::string small = header_of(16), large = header_of(9 * kGigabyte);
  expect_refused(SparseFile(small.size(), small, 5 * kGigabyte),
                 Code::kInvalidInput,
                 {"header check", "bytes after the last tensor"});
  expect_refused(SparseFile(large.size(), large, 5 * kGigabyte),
                 Code::kInvalidInput, {"header check", "data bytes"});
  expect_refused(SparseFile(0, "", 5 * kGigabyte), Code::kInvalidInput,
                 {"header check"});
}

TEST(AdapterBytes, WhatNoMemoryHoldsIsNotRead) {
  const uint64_t memory = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                          static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::string header = header_of(memory);
  const uint64_t all = 8 + header.size() + memory;
  expect_refused(
      SparseFile(header.size(), header, all), Code::kDoesNotFit,
      {fmt::format("{} bytes", all), fmt::format("{} of memory", memory)});
}

TEST(AdapterBytes, WhatItsHeaderAccountsForIsReadAndAskedForFirst) {
  for (const uint64_t data : {uint64_t{16}, uint64_t{kReadAtOnceBytes} * 2}) {
    const std::string header = header_of(data);
    const uint64_t all = 8 + header.size() + data;
    const SparseFile file(header.size(), header, all);
    const auto read = read_adapter_bytes(file.path());
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_EQ(read->size(), all);
    EXPECT_TRUE(parse_safetensors(*read).ok());
    size_t asked = 0;
    const auto refused =
        read_adapter_bytes(file.path(), [&](size_t bytes) -> Status {
          asked = bytes;
          return does_not_fit("no room");
        });
    EXPECT_EQ(refused.status().message(), "no room");
    EXPECT_EQ(asked, all);
  }
}

}  // namespace
}  // namespace ft
