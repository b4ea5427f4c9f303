#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <span>
#include <string>

#include "base/hash.h"
#include "base/whole_file.h"
#include "base/writer_lock.h"

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

TEST(File, AFileThatIsCutWhileItIsReadIsAnError) {
  const std::string path = temp_path("ft_file_test_cut");
  ASSERT_TRUE(write_file_atomically(path, std::string(100'000, 'x')).ok());
  size_t asked = 0;
  const auto whole = read_whole_file(path, [&](size_t bytes) {
    asked = bytes;
    return ok_status();
  });
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->size(), 100'000u);
  EXPECT_EQ(asked, 100'000u);
  EXPECT_EQ(whole->back(), std::byte{'x'});
  const auto cut = read_whole_file(path, [&](size_t) {
    std::filesystem::resize_file(path, 10);
    return ok_status();
  });
  EXPECT_EQ(cut.status().code(), Code::kInvalidInput);
  const auto refused =
      read_whole_file(path, [](size_t) { return does_not_fit("no room"); });
  EXPECT_EQ(refused.status().code(), Code::kDoesNotFit);
  std::filesystem::remove(path);
  EXPECT_EQ(
      read_whole_file(path, [](size_t) { return ok_status(); }).status().code(),
      Code::kIo);
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

TEST(File, WhatIsNoFileIsNotReplacedByOne) {
  const std::string pipe = temp_path("ft_file_test_pipe");
  std::filesystem::remove(pipe);
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const std::string folder = temp_path("ft_file_test_folder");
  std::filesystem::create_directory(folder);
  for (const std::string& path : {pipe, folder}) {
    EXPECT_EQ(check_writable(path).code(), Code::kIo) << path;
    EXPECT_EQ(write_file_atomically(path, std::string("x")).code(), Code::kIo);
    EXPECT_FALSE(std::filesystem::is_regular_file(path));
    std::filesystem::remove(path);
  }
}

TEST(File, ANewFileDoesNotReplaceOne) {
  const std::string path = temp_path("ft_file_test_new");
  std::filesystem::remove(path);
  const std::string text = "first";
  const auto bytes = std::as_bytes(std::span(text));
  ASSERT_TRUE(write_new_file(path, bytes, 0600).ok());
  struct stat info;
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(info.st_nlink, 1u);
  const Status again = write_new_file(path, {});
  EXPECT_EQ(again.code(), Code::kUsage);
  EXPECT_NE(again.message().find("is not overwritten"), std::string::npos);
  EXPECT_EQ(read_text_file(path).value(), text);
  std::filesystem::remove(path);
}

// A folder of its own for each test.
struct Folder {
  explicit Folder(const char* name) : path(temp_path(name)) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  long files() const {
    return std::distance(std::filesystem::directory_iterator(path), {});
  }
  std::string path;
};

// What a killed writer leaves is removed by the next, whatever that one writes;
// what is being written is not, nor are files that are named nearly so.
TEST(File, LeftoversOfTheKilledAreRemoved) {
  const Folder folder("ft_file_test_leftovers");
  const std::string path = folder.path + "/a";
  const pid_t child = ::fork();
  if (child == 0) {
    auto file = AtomicFile::create(path);
    if (file.ok()) (void)file->write(std::as_bytes(std::span("x"))).ok();
    ::_exit(file.ok() ? 0 : 1);  // runs no destructor
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  ASSERT_EQ(folder.files(), 1);
  ASSERT_TRUE(write_file_atomically(path + ".sha256", "mine").ok());
  EXPECT_EQ(folder.files(), 1);

  auto writing = AtomicFile::create(path);
  ASSERT_TRUE(writing.ok());
  ASSERT_TRUE(write_file_atomically(folder.path + "/b", "other").ok());
  EXPECT_EQ(folder.files(), 3);
  ASSERT_TRUE(writing->commit().ok());
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_TRUE(std::filesystem::exists(path + ".sha256"));
}

// Also where the one before was killed, whose file is still there.
TEST(File, OneWriterAtATime) {
  const Folder folder("ft_file_test_lock");
  const std::string path = folder.path + "/a";
  ASSERT_TRUE(write_file_atomically(path + ".ft-tmp-locked", "").ok());
  {
    const auto first = WriterLock::acquire(path);
    ASSERT_TRUE(first.ok()) << first.status().message();
    const auto second = WriterLock::acquire(path, 20);
    EXPECT_EQ(second.status().code(), Code::kIo);
    EXPECT_NE(second.status().message().find("another process"),
              std::string::npos);
    ASSERT_TRUE(write_file_atomically(path, "x").ok());
    EXPECT_FALSE(WriterLock::acquire(path).ok()) << "taken for a leftover";
  }
  EXPECT_EQ(folder.files(), 1);
  EXPECT_TRUE(WriterLock::acquire(path).ok());
}

TEST(File, TemporaryNamesAreTold) {
  EXPECT_TRUE(is_temporary_name("a.safetensors.ft-tmp-aB3xYz"));
  EXPECT_EQ(final_name("a.safetensors.ft-tmp-aB3xYz"), "a.safetensors");
  for (const char* name : {"a", "a.sha256", "a.ft-tmp-", ".ft-tmp-aB3xYz",
                           "a.ft-tmp-aB3xYz.gz", "a.ft-tmp-aB3xYz2"})
    EXPECT_FALSE(is_temporary_name(name)) << name;
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
