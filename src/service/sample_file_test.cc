// Kept samples: what was added is read again in its order, whatever was
// changed in the file is told, and every refusal leaves it as it was.
#include "service/sample_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/random.h"

namespace ft::service {
namespace {

namespace fs = std::filesystem;

const std::string kBase(64, 'a');

struct SampleFileTest : testing::Test {
  void SetUp() override {
    folder = testing::TempDir() +
             fmt::format(
                 "ft_samples_{}_{}", getpid(),
                 testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder);
    fs::create_directories(folder);
    path = sample_file_of(folder, "me");
  }
  void TearDown() override { fs::remove_all(folder); }

  static std::vector<LabeledSample> samples(int count, uint64_t seed = 1) {
    const Random random(seed, "samples");
    std::vector<LabeledSample> made;
    for (int i = 0; i < count; ++i)
      made.push_back(
          {.features = {static_cast<float>(random.uniform(3 * i)), -0.0f,
                        static_cast<float>(random.uniform(3 * i + 1))},
           .label = i % 2});
    return made;
  }
  Result<SampleFile> open(const SampleKind& kind = kKind,
                          const fieldtune::StoreKey& key = {}) const {
    return SampleFile::open(path, kind, key);
  }
  static Result<std::vector<LabeledSample>> all_of(SampleFile& file) {
    std::vector<LabeledSample> read;
    FT_TRY_STATUS(file.read([&](std::span<const float> x, int32_t label) {
      read.push_back(
          {.features = std::vector<float>(x.begin(), x.end()), .label = label});
      return ok_status();
    }));
    return read;
  }
  // Of an open that must fail with these words.
  void refused(Code code, const std::string& words,
               const SampleKind& kind = kKind,
               const fieldtune::StoreKey& key = {}) const {
    auto opened = open(kind, key);
    Status status = opened.status();
    if (opened.ok()) status = all_of(*opened).status();
    EXPECT_EQ(status.code(), code) << status.message();
    EXPECT_NE(status.message().find(words), std::string::npos)
        << status.message();
  }
  fieldtune::StoreKey key_of(char letter) const {
    const std::string file = folder + "/key_" + letter;
    std::ofstream(file) << std::string(32, letter);
    ::chmod(file.c_str(), 0600);
    return {.file = file};
  }
  std::string text() const {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& text) const {
    std::ofstream(path, std::ios::binary) << text;
  }

  static inline const SampleKind kKind{
      .base_sha256 = kBase, .features = 3, .classes = {"up", "down"}};
  std::string folder, path;
};

void expect_same(const std::vector<LabeledSample>& a,
                 const std::vector<LabeledSample>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].features, b[i].features);
    EXPECT_EQ(a[i].label, b[i].label);
  }
}

TEST_F(SampleFileTest, IsReadAsItWasGiven) {
  const auto first = samples(5), second = samples(300, 2);
  {
    auto file = open();
    ASSERT_TRUE(file.ok()) << file.status().message();
    ASSERT_TRUE(file->add(first).ok() && file->add(second).ok());
    EXPECT_EQ(file->count(), 305);
    refused(Code::kIo, "another process");
  }
  struct stat info;
  for (const auto& entry : fs::directory_iterator(folder)) {
    ASSERT_EQ(::stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << entry.path();
  }
  auto again = open();
  ASSERT_TRUE(again.ok()) << again.status().message();
  auto read = all_of(*again);
  ASSERT_TRUE(read.ok()) << read.status().message();
  auto given = first;
  given.insert(given.end(), second.begin(), second.end());
  expect_same(*read, given);
}

TEST_F(SampleFileTest, AnotherKindIsRefused) {
  ASSERT_TRUE(open()->add(samples(4)).ok());
  SampleKind other = kKind;
  other.base_sha256 = std::string(64, 'b');
  refused(Code::kInvalidInput, "another base model", other);
  other = kKind;
  other.features = 4;
  refused(Code::kInvalidInput, "have 3 features, the model takes 4", other);
  for (const std::vector<std::string>& classes :
       {std::vector<std::string>{}, {"up"}, {"down", "up"}, {"up", "on", "x"}})
    refused(Code::kUsage, "other classes",
            {.base_sha256 = kBase, .features = 3, .classes = classes});
  refused(Code::kUsage, "without a key", kKind, key_of('k'));
  // A class more, from then on.
  other = kKind;
  other.classes.emplace_back("left");
  ASSERT_TRUE(open(other)->add({samples(1)}).ok());
  refused(Code::kUsage, "other classes");
  EXPECT_EQ(open(other)->count(), 5);
}

TEST_F(SampleFileTest, AnEmptyOneTakesAnyKind) {
  ASSERT_TRUE(open().ok());
  const SampleKind other{.base_sha256 = std::string(64, 'b'), .features = 7};
  ASSERT_TRUE(open(other).ok());
  ASSERT_TRUE(open(kKind, key_of('k'))->add(samples(2)).ok());
}

TEST_F(SampleFileTest, IsEncryptedWhereThereIsAKey) {
  const auto key = key_of('k');
  std::vector<LabeledSample> given = samples(3);
  given[1].features = {1.25f, 1.25f, 1.25f};
  ASSERT_TRUE(open(kKind, key)->add(given).ok());
  EXPECT_EQ(text().find(std::string("\0\0\xa0\x3f\0\0\xa0\x3f", 8)),
            std::string::npos);
  refused(Code::kUsage, "their key is needed");
  refused(Code::kUsage, "another key", kKind, key_of('x'));
  auto again = open(kKind, key);
  expect_same(*all_of(*again), given);
}

// Of every byte that is changed, opening or reading says something, or the
// samples are those that were given.
TEST_F(SampleFileTest, ADamagedFileIsToldOrReadsRight) {
  const auto given = samples(40);
  ASSERT_TRUE(open()->add(given).ok());
  const std::string whole = text();
  ASSERT_GT(whole.size(), 8192u);
  const uint64_t seed = 20261122;
  RecordProperty("seed", std::to_string(seed));
  const Random random(seed, "damage");
  int told = 0;
  for (uint64_t i = 0; i < 400; ++i) {
    fs::remove(path + "-wal");
    std::string changed = whole;
    changed[random.below(2 * i, static_cast<uint32_t>(whole.size()))] ^=
        static_cast<char>(1 + random.below(2 * i + 1, 255));
    write(changed);
    auto opened = open();
    if (opened.ok()) {
      auto read = all_of(*opened);
      if (read.ok())
        expect_same(*read, given);
      else
        ++told;
      EXPECT_TRUE(read.ok() || read.status().code() == Code::kInvalidInput)
          << read.status().message();
    } else {
      ++told;
      EXPECT_NE(opened.status().code(), Code::kInternal)
          << opened.status().message();
    }
  }
  EXPECT_GT(told, 100) << "seed " << seed;
}

TEST_F(SampleFileTest, WhatIsLostIsTold) {
  ASSERT_TRUE(open()->add(samples(200)).ok());
  const std::string whole = text();
  fs::remove(path + "-wal");
  for (const size_t size : {size_t{0}, size_t{100}, size_t{4096},
                            whole.size() / 2, whole.size() - 4096}) {
    write(whole.substr(0, size));
    refused(Code::kInvalidInput, "samples '");
    const auto listed = list_samples(folder);
    ASSERT_TRUE(listed.ok());
    ASSERT_EQ(listed->size(), 1u);
    EXPECT_TRUE(size > 4096 || !listed->front().problem.empty()) << size;
  }
  write("no database at all");
  refused(Code::kInvalidInput, "not a database");
}

TEST_F(SampleFileTest, AreListedAndDeleted) {
  ASSERT_TRUE(open()->add(samples(3)).ok());
  ASSERT_TRUE(SampleFile::open(sample_file_of(folder, "you"), kKind).ok());
  std::ofstream(folder + "/you.checkpoint") << "not ours";
  std::ofstream(folder + "/bad.samples") << "no database";
  auto listed = list_samples(folder);
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->size(), 3u);
  EXPECT_EQ((*listed)[0].adapter, "bad");
  EXPECT_NE((*listed)[0].problem, "");
  EXPECT_EQ((*listed)[1].samples, 3);
  EXPECT_EQ((*listed)[1].classes, kKind.classes);
  EXPECT_GT((*listed)[1].bytes, 0u);
  {
    const auto held = open();
    ASSERT_TRUE(held.ok());
    EXPECT_EQ(delete_samples(folder, "me").code(), Code::kIo);
  }
  EXPECT_EQ(open()->count(), 3);
  for (const char* name : {"me", "you", "bad"})
    EXPECT_TRUE(delete_samples(folder, name).ok()) << name;
  EXPECT_EQ(delete_samples(folder, "me").code(), Code::kUsage);
  EXPECT_EQ(delete_samples(folder, "../me").code(), Code::kUsage);
  ASSERT_EQ(list_samples(folder)->size(), 0u);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 1);
  EXPECT_EQ(open()->count(), 0);
}

// A log that outlived its file is of another one.
TEST_F(SampleFileTest, AnOldLogIsNotFoldedIn) {
  ASSERT_TRUE(open()->add(samples(3)).ok());
  {
    auto file = open();
    ASSERT_TRUE(file->add(samples(50)).ok());
    fs::copy_file(path + "-wal", folder + "/log");
  }
  ASSERT_TRUE(delete_samples(folder, "me").ok());
  fs::copy_file(folder + "/log", path + "-wal");
  auto again = open();
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->count(), 0);
  EXPECT_TRUE(all_of(*again)->empty());
}

}  // namespace
}  // namespace ft::service
