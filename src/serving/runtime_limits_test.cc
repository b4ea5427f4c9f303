// What a runtime does not take: files of any size, and programs for ever.
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "serving/runtime_fixture.h"
#include "serving/served_base.h"
#include "tests/peak_resident.h"

namespace ft {
namespace {

namespace fs = std::filesystem;

// Holes only: it takes no place on the disk.
std::string enormous_file(const std::string& name) {
  constexpr uint64_t kBytes = uint64_t{5} << 30;
  const std::string path = temporary(name);
  std::ofstream(path, std::ios::binary) << "";
  fs::resize_file(path, kBytes);
  return path;
}

void expect_refused(const Status& status, Code code, const std::string& words) {
  EXPECT_EQ(status.code(), code) << status.message();
  EXPECT_NE(status.message().find(words), std::string::npos)
      << status.message();
}

TEST(Limits, AnEnormousFileTakesNoMemory) {
  Fixture f;
  ASSERT_TRUE(f.runtime.add("good", lora_file(0)).ok());
  const auto expected = f.answer("good");
  const std::string path = enormous_file("enormous.safetensors");
  ASSERT_TRUE(f.runtime.add("enormous", path).ok());
  ASSERT_TRUE(f.runtime
                  .add("opened",
                       [&](const fieldtune::AdapterRoom& room)
                           -> Result<fieldtune::OpenedAdapter> {
                         FT_TRY_STATUS(room(fs::file_size(path)));
                         return internal_error("there was room");
                       })
                  .ok());
  const size_t before = peak_resident_kb();
  std::vector<float> y;
  for (const char* name : {"enormous", "opened"})
    expect_refused(f.runtime.run_with(name, f.x, y), Code::kDoesNotFit,
                   "5368709120 more bytes do not fit the adapters' budget of "
                   "1048576 bytes");
  EXPECT_LT(peak_resident_kb(), before + 16 * 1024);
  EXPECT_EQ(f.answer("good"), expected);  // nothing was evicted for it
  EXPECT_EQ(f.runtime.stats().evictions, 0u);
  fs::remove(path);
}

TEST(Limits, APolicysLimitIsAskedBeforeAFileIsRead) {
  const std::string policy = temporary("limit.toml");
  ASSERT_TRUE(write_file_atomically(
                  policy, std::string("format = 1\nmax_bytes = 1000000\n"))
                  .ok());
  auto runtime = fieldtune::Runtime::open(kBase, {.policy = policy}).value();
  const std::string path = enormous_file("policy.safetensors");
  ASSERT_TRUE(runtime.add("enormous", path).ok());
  const size_t before = peak_resident_kb();
  expect_refused(runtime.set_active("enormous"), Code::kInvalidInput,
                 "refused by the size check: 5368709120 bytes, where the "
                 "policy takes at most 1000000");
  EXPECT_LT(peak_resident_kb(), before + 16 * 1024);
  fs::remove(path);
}

// With neither a budget nor a policy.
TEST(Limits, AHeaderThatClaimsGigabytesTakesNoMemory) {
  Fixture f(SIZE_MAX);
  const std::string path = enormous_file("claims.safetensors");
  const uint64_t length = (uint64_t{5} << 30) - 8;
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out)
      .write(reinterpret_cast<const char*>(&length), sizeof length);
  ASSERT_TRUE(f.runtime.add("claims", path).ok());
  const size_t before = peak_resident_kb();
  expect_refused(f.runtime.set_active("claims"), Code::kInvalidInput,
                 "refused by the size check: safetensors: header length "
                 "5368709112, where the format allows 100000000 bytes");
  EXPECT_LT(peak_resident_kb(), before + 16 * 1024);
  EXPECT_EQ(f.runtime.stats().adapter_bytes, 0u);
  fs::remove(path);
}

// Written in place while it is read; each size is a whole adapter or none.
TEST(Limits, AFileThatGrowsWhileItIsReadIsRefusedOrWhole) {
  Fixture f;
  const std::string path = temporary("grows.safetensors");
  const std::string whole = read_text_file(lora_file(0)).value();
  ASSERT_TRUE(f.runtime.add("grows", path).ok());
  const auto expected = f.oracle({{lora_file(0)}});
  std::atomic<bool> done{false};
  std::thread writer([&] {
    while (!done) {
      std::ofstream(path, std::ios::binary) << whole;
      std::ofstream(path, std::ios::binary | std::ios::app) << whole;
    }
  });
  std::vector<float> y;
  for (int i = 0; i < 300; ++i) {
    const Status status = f.runtime.run_with("grows", f.x, y);
    EXPECT_TRUE(!status.ok() || y == expected);
    EXPECT_TRUE(status.ok() || status.code() == Code::kInvalidInput ||
                status.code() == Code::kIo)
        << status.message();
    ASSERT_TRUE(f.runtime.unload("grows").ok());
  }
  done = true;
  writer.join();
  EXPECT_EQ(f.runtime.stats().adapter_bytes, 0u);
}

// Opening a pipe waits for who writes into it, for ever.
TEST(Limits, APipeIsNoFileAndNobodyWaitsForIt) {
  Fixture f;
  const std::string path = temporary("pipe.safetensors");
  fs::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  ASSERT_TRUE(f.runtime.add("pipe", path).ok());
  expect_refused(f.runtime.set_active("pipe"), Code::kInvalidInput,
                 "is not a regular file");
  fs::remove(path);
}

// Every weight is a program of its own.
TEST(Limits, CompositionsThatAreGoneLeaveNothing) {
  const bool all = std::getenv("FT_EXHAUSTIVE") != nullptr;
  const int count = all ? 10000 : 100, warm = 40;
  Fixture f;
  ASSERT_TRUE(f.runtime.add("a", lora_file(0)).ok());
  ASSERT_TRUE(f.runtime.add("b", lora_file(1)).ok());
  const auto one = [&](int i) {
    const std::string name = fmt::format("c{}", i);
    ASSERT_TRUE(f.runtime.compose(name, {{"a", 1}, {"b", 1.0 / (i + 2)}}).ok());
    std::vector<float> y;
    const Status status = f.runtime.run_with(name, f.x, y);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_TRUE(f.runtime.remove(name).ok());
  };
  for (int i = 0; i < warm; ++i) one(i);
  const size_t heap = ::mallinfo2().uordblks;
  const auto before = f.runtime.stats();
  EXPECT_LE(before.shapes, ServedBase::kIdleShapes + 3);
  for (int i = warm; i < count; ++i) one(i);
  const auto after = f.runtime.stats();
  EXPECT_EQ(after.shapes, before.shapes);
  // Names and weights of some digits more.
  EXPECT_NEAR(static_cast<double>(after.derived_bytes),
              static_cast<double>(before.derived_bytes),
              0.001 * static_cast<double>(before.derived_bytes));
  EXPECT_NEAR(static_cast<double>(::mallinfo2().uordblks),
              static_cast<double>(heap), 0.01 * static_cast<double>(heap));
  EXPECT_EQ(f.answer("a"), f.oracle({{lora_file(0)}}));
}

}  // namespace
}  // namespace ft
