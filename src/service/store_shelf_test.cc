// A store that somebody replaces while a service reads it.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "service/adapter_book.h"
#include "serving/background_fixture.h"
#include "serving/test_adapters.h"

namespace ft::service {
namespace {

using fieldtune::AdapterStore;

// "me"@1, in use, with values of its own.
void make_store(const std::filesystem::path& folder, uint64_t seed) {
  const std::string file = folder.string() + ".safetensors";
  ASSERT_TRUE(write_random_adapter(kBase, {.seed = seed}, file).ok());
  ASSERT_TRUE(AdapterStore::init(folder).ok());
  auto store = AdapterStore::open(folder);
  ASSERT_TRUE(store.ok() && store->add(file, {.name = "me"}).ok());
  ASSERT_TRUE(store->use("me").ok());
}

TEST(StoreShelf, SeesThatItsStoreIsGoneAndTheOneThatComesInItsPlace) {
  const auto folder = std::filesystem::path(testing::TempDir()) /
                      fmt::format("ft_shelf_{}", getpid());
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  make_store(folder / "store", 1);
  Runtime runtime = Runtime::open(kBase).value();
  auto book = AdapterBook::open(
                  runtime, store_shelf({.folder = folder / "store"}).value())
                  .value();
  ASSERT_TRUE(book->use("me").ok());
  const std::string before = book->active().in_runtime;

  std::filesystem::remove_all(folder / "store");
  const auto gone = book->reload(true);
  EXPECT_FALSE(gone.ok());
  EXPECT_NE(book->problem(), "");
  EXPECT_EQ(book->active().in_runtime, before);  // and answers

  make_store(folder / "store", 2);  // as many changes
  const auto back = book->reload(true);
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(back->problem, "");
  EXPECT_EQ(book->problem(), "");
  EXPECT_NE(book->active().in_runtime, before);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace ft::service
