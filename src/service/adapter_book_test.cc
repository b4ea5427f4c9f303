// Versions that cannot be loaded when they are put in use: the old one stays,
// and they are tried again.
#include "service/adapter_book.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "serving/test_adapters.h"

namespace ft::service {
namespace {

namespace fs = std::filesystem;
using fieldtune::AdapterStore;
using fieldtune::Runtime;

const std::string kBase = FT_SOURCE_DIR "/examples/demo/keyword_base.tflite";

// me@1 and you@1 are confirmed, me@2 is staged.
class Book : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::path(testing::TempDir()) / fmt::format("ft_book_{}", getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    ASSERT_TRUE(AdapterStore::init(folder_ / "store").ok());
    AdapterStore store = writer();
    for (const auto& [name, seed] :
         {std::pair("me", 1), {"you", 2}, {"me", 3}}) {
      const std::string file = folder_ / fmt::format("{}.safetensors", seed);
      const AdapterRecipe recipe{.seed = static_cast<uint64_t>(seed)};
      ASSERT_TRUE(write_random_adapter(kBase, recipe, file).ok());
      ASSERT_TRUE(store.add(file, {.name = name}).ok());
      file_bytes_ = fs::file_size(file);
      if (seed == 3) continue;
      ASSERT_TRUE(store.use(name).ok() && store.confirm(name).ok());
    }
  }
  void TearDown() override { fs::remove_all(folder_); }

  AdapterStore writer() const {
    return AdapterStore::open(folder_ / "store").value();
  }
  // With me@1 active and you@1 kept.
  void open(size_t budget) {
    runtime_.emplace(
        Runtime::open(kBase, {.adapter_budget_bytes = budget}).value());
    auto shelf = store_shelf({.folder = folder_ / "store"});
    ASSERT_TRUE(shelf.ok()) << shelf.status().message();
    book_ = std::move(AdapterBook::open(*runtime_, *shelf).value());
    ASSERT_TRUE(book_->use("me").ok());
    ASSERT_TRUE(book_->load("you", 0, true).ok());
  }
  std::string look() {
    const auto done = book_->reload(true);
    EXPECT_TRUE(done.ok()) << done.status().message();
    return done.ok() ? done->problem : "";
  }

  fs::path folder_;
  size_t file_bytes_ = 0;
  std::optional<Runtime> runtime_;
  std::unique_ptr<AdapterBook> book_;
};

TEST_F(Book, AVersionThatHadNoRoomIsTriedAgainWhenThereIsSome) {
  open(SIZE_MAX);
  const size_t both = runtime_->stats().adapter_bytes;
  book_.reset();
  open(both + file_bytes_ + both / 2 - 1);
  ASSERT_TRUE(writer().use("me", 2).ok());
  EXPECT_NE(look().find("do not fit the adapters' budget"), std::string::npos);
  EXPECT_NE(book_->problem().find("do not fit"), std::string::npos);
  EXPECT_EQ(book_->active().version, 1);
  const uint64_t failures = runtime_->stats().failed_loads;
  (void)look();  // too early, and no more room
  EXPECT_EQ(runtime_->stats().failed_loads, failures);
  EXPECT_NE(book_->problem(), "");

  ASSERT_TRUE(book_->unload("you", 0).ok());
  EXPECT_EQ(look(), "");
  EXPECT_EQ(book_->active().version, 2);
  EXPECT_EQ(book_->problem(), "");
  EXPECT_EQ(runtime_->active(), book_->active().in_runtime);
}

TEST_F(Book, AVersionWhoseFileWasRefusedIsTriedAgainAfterAWhile) {
  open(SIZE_MAX);
  const auto row = writer().find("me", 2).value();
  const std::string object = folder_ / "store/objects" /
                             row.sha256.substr(0, 2) /
                             (row.sha256 + ".safetensors");
  const std::string whole = read_text_file(object).value();
  ASSERT_TRUE(write_file_atomically(object, whole.substr(1)).ok());
  ASSERT_TRUE(writer().use("me", 2).ok());
  EXPECT_NE(look().find("is damaged"), std::string::npos);
  EXPECT_EQ(book_->active().version, 1);
  ASSERT_TRUE(write_file_atomically(object, whole).ok());
  (void)look();
  EXPECT_EQ(book_->active().version, 1);
  EXPECT_NE(book_->problem().find("is damaged"), std::string::npos);
  std::this_thread::sleep_for(AdapterBook::kFirstWait);
  EXPECT_EQ(look(), "");
  EXPECT_EQ(book_->active().version, 2);
}

}  // namespace
}  // namespace ft::service
