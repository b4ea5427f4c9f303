#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "base/hash.h"

namespace ft {
namespace {

std::string temp_path(const char* name) {
  return (std::filesystem::temp_directory_path() / name).string();
}

TEST(File, RoundTrips) {
  const std::string path = temp_path("ft_file_test");
  ASSERT_TRUE(write_file_atomically(path, "hello").ok());
  ASSERT_TRUE(write_file_atomically(path, "world!").ok());
  EXPECT_EQ(read_text_file(path).value(), "world!");
  std::filesystem::remove(path);
}

TEST(File, MissingFileIsAnIoErrorNamingThePath) {
  const auto file = MappedFile::open("/no/such/file");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().code(), Code::kIo);
  EXPECT_NE(file.status().message().find("/no/such/file"), std::string::npos);
}

// A file-size limit stands in for a full disk: both fail inside write().
TEST(File, FullDiskLeavesTheOldContents) {
  const std::string path = temp_path("ft_file_test_full");
  ASSERT_TRUE(write_file_atomically(path, "old").ok());
  rlimit old_limit;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, old_limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = write_file_atomically(path, std::string(100'000, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_EQ(read_text_file(path).value(), "old");
  std::filesystem::remove(path);
}

TEST(File, CheckWritableNamesThePathAndLeavesNothing) {
  EXPECT_FALSE(check_writable("/no/such/folder/x").ok());
  const std::string path = temp_path("ft_file_test_writable");
  EXPECT_TRUE(check_writable(path).ok());
  EXPECT_FALSE(std::filesystem::exists(path));
}

// FIPS 180-4, the empty message and "abc".
TEST(Hash, Sha256KnownAnswers) {
  EXPECT_EQ(sha256_hex({}),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const std::string abc = "abc";
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span(abc.data(), abc.size()))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace ft
