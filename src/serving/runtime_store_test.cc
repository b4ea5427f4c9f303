// The public runtime on stores, and under policies.
#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "fieldtune/adapter_store.h"
#include "serving/runtime_fixture.h"

namespace ft {
namespace {

using fieldtune::Runtime;

TEST(Runtime, TakesTheActiveVersionsOfAStore) {
  const std::string folder = temporary("store");
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(fieldtune::AdapterStore::init(folder).ok());
  auto store = fieldtune::AdapterStore::open(folder).value();
  ASSERT_TRUE(store.add(lora_file(0), {.name = "me"}).ok());
  ASSERT_TRUE(store.use("me").ok());
  Fixture f;
  EXPECT_EQ(f.runtime.add_store(folder).value(), 1u);
  EXPECT_EQ(f.answer("me"), f.oracle({{lora_file(0)}}));
  ASSERT_TRUE(store.add(lora_file(1), {.name = "me"}).ok());
  ASSERT_TRUE(store.use("me", 2).ok());
  EXPECT_EQ(f.answer("me"), f.oracle({{lora_file(0)}}));  // it is loaded
  EXPECT_EQ(f.runtime.add_store(folder).value(), 1u);
  EXPECT_EQ(f.answer("me"), f.oracle({{lora_file(1)}}));
  EXPECT_FALSE(f.runtime.add_store(temporary("no store")).ok());
}

TEST(Runtime, ServesNamedVersionsOfAStore) {
  const std::string folder = temporary("versions"), other = temporary("others");
  for (const std::string& f : {folder, other}) {
    std::filesystem::remove_all(f);
    ASSERT_TRUE(fieldtune::AdapterStore::init(f).ok());
  }
  auto store = fieldtune::AdapterStore::open(folder).value();
  for (const uint64_t v : {0, 1})
    ASSERT_TRUE(store.add(lora_file(v), {.name = "me"}).ok());
  ASSERT_TRUE(store.use("me", 1).ok());
  Fixture f;
  std::vector<float> y;
  EXPECT_EQ(f.runtime.run_with("me@2", f.x, y).code(), Code::kUsage);
  ASSERT_TRUE(f.runtime.add_store(folder).ok());
  EXPECT_EQ(f.runtime.names(), std::vector<std::string>{"me"});
  EXPECT_EQ(f.answer("me@2"), f.oracle({{lora_file(1)}}));
  EXPECT_EQ(f.answer("me@1"), f.oracle({{lora_file(0)}}));
  EXPECT_EQ(f.answer("me"), f.oracle({{lora_file(0)}}));
  ASSERT_TRUE(f.runtime.prefetch("me@2").ok());
  ASSERT_TRUE(f.runtime.set_active("me@2").ok());
  for (const char* none : {"me@3", "you@1"})
    EXPECT_EQ(f.runtime.run_with(none, f.x, y).code(), Code::kUsage) << none;
  for (const char* none : {"me@", "me@0", "me@01", "me@x", "@1", "me@1x"})
    EXPECT_FALSE(f.runtime.run_with(none, f.x, y).ok()) << none;
  // A version of a name that comes from another store, or from none.
  auto others = fieldtune::AdapterStore::open(other).value();
  ASSERT_TRUE(others.add(lora_file(2), {.name = "me"}).ok());
  ASSERT_TRUE(f.runtime.add_store(other).ok());
  EXPECT_EQ(f.answer("me@1"), f.oracle({{lora_file(2)}}));
  ASSERT_TRUE(f.runtime.remove("me").ok());
  EXPECT_EQ(f.runtime.run_with("me@1", f.x, y).code(), Code::kUsage);
  EXPECT_EQ(f.runtime.pin("me@1").code(), Code::kUsage);
}

TEST(Runtime, ServesAnEncryptedStore) {
  const std::string folder = temporary("secret"), key = temporary("key");
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(write_file_atomically(
                  key, std::string_view("0123456789abcdef0123456789abcdef"))
                  .ok());
  std::filesystem::permissions(key, std::filesystem::perms::owner_read);
  ASSERT_TRUE(
      fieldtune::AdapterStore::init(folder, {.key = {.file = key}}).ok());
  auto store =
      fieldtune::AdapterStore::open(folder, {.key = {.file = key}}).value();
  ASSERT_TRUE(store.add(lora_file(0), {.name = "me"}).ok());
  ASSERT_TRUE(store.use("me").ok());
  Fixture f;
  const auto without = f.runtime.add_store(folder);
  ASSERT_EQ(without.status().code(), Code::kUsage);
  EXPECT_NE(without.status().message().find("is encrypted"), std::string::npos);
  ASSERT_TRUE(f.runtime.add_store(folder, {.file = key}).ok());
  EXPECT_EQ(f.answer("me"), f.oracle({{lora_file(0)}}));
}

// A copy of a LoRA adapter with a name and a version of its own.
std::string named_file(uint64_t seed, const std::string& name,
                       const std::string& version) {
  const std::string text = read_text_file(lora_file(seed)).value();
  Adapter adapter =
      decode_adapter(std::as_bytes(std::span(text)), "test").value();
  adapter.metadata["name"] = name;
  adapter.metadata["version"] = version;
  const std::string path =
      temporary(fmt::format("{}_{}_{}.safetensors", name, version, seed));
  EXPECT_TRUE(
      write_file_atomically(path, encode_adapter(adapter).value()).ok());
  return path;
}

// Under a policy that refuses downgrades.
struct Guarded : Fixture {
  Guarded() : policy(temporary("policy.toml")) {
    EXPECT_TRUE(write_file_atomically(
                    policy, std::string_view("format = 1\n"
                                             "refuse_downgrade = true\n"))
                    .ok());
    runtime = Runtime::open(kBase, {.policy = policy}).value();
  }
  void refuses(const std::string& name, const char* words) {
    std::vector<float> y;
    const Status status = runtime.run_with(name, x, y);
    EXPECT_EQ(status.code(), Code::kInvalidInput) << status.message();
    EXPECT_NE(status.message().find(words), std::string::npos)
        << status.message();
  }
  std::string policy;
};

TEST(Runtime, UnderAPolicyANameKeepsTheHighestVersion) {
  Guarded f;
  ASSERT_TRUE(f.runtime.add("me", named_file(0, "me", "2")).ok());
  ASSERT_TRUE(f.runtime.set_active("me").ok());
  ASSERT_TRUE(f.runtime.add("me", named_file(1, "me", "1")).ok());
  f.refuses("me", "version check");
  EXPECT_EQ(f.runtime.set_active("me").code(), Code::kInvalidInput);
  EXPECT_EQ(f.runtime.active(), "me");  // the old file's
  ASSERT_TRUE(f.runtime.remove("me").ok());
  ASSERT_TRUE(f.runtime.add("me", named_file(1, "me", "1")).ok());
  f.refuses("me", "version check");
  ASSERT_TRUE(f.runtime.add("me", named_file(1, "me", "3")).ok());
  EXPECT_EQ(f.answer("me").size(), f.answer("").size());
}

// Bytes of the heap that a name of this length leaves behind after it was
// added, loaded and removed.
double left_by_a_name(Guarded& f, size_t length,
                      const std::function<Status(const std::string&)>& add) {
  const size_t count = std::getenv("FT_EXHAUSTIVE") != nullptr ? 10000 : 500;
  size_t before = 0;
  for (size_t i = 0; i < count + 50; ++i) {
    if (i == 50) before = ::mallinfo2().uordblks;
    std::string name = fmt::format("{:06}{}", i, length);
    name.resize(length, 'x');
    EXPECT_TRUE(add(name).ok());
    std::vector<float> y;
    EXPECT_TRUE(f.runtime.run_with(name, f.x, y).ok());
    EXPECT_TRUE(f.runtime.remove(name).ok());
  }
  const auto grown =
      static_cast<double>(::mallinfo2().uordblks) - static_cast<double>(before);
  return grown / static_cast<double>(count);
}

TEST(Runtime, UnderAPolicyNamesOfOpenersThatAreGoneLeaveNothing) {
  Guarded f;
  const std::string file = read_text_file(named_file(0, "me", "2")).value();
  const auto add = [&](const std::string& name) {
    return f.runtime.add(
        name,
        [&file](
            const fieldtune::AdapterRoom&) -> Result<fieldtune::OpenedAdapter> {
          return fieldtune::OpenedAdapter{.bytes =
                                              std::as_bytes(std::span(file))};
        });
  };
  EXPECT_LT(left_by_a_name(f, 1000, add), 200);
}

// What refuses a lower version also after the name was taken away.
TEST(Runtime, UnderAPolicyNamesOfFilesThatAreGoneLeaveTheirVersion) {
  Guarded f;
  const std::string path = named_file(0, "me", "2");
  const auto add = [&](const std::string& name) {
    return f.runtime.add(name, path);
  };
  const double bytes = left_by_a_name(f, 12, add);
  std::printf("a name of 12 characters leaves %.1f bytes\n", bytes);
  EXPECT_LT(bytes, 200);
  // Versions that say nothing leave nothing.
  const auto add_other = [&](const std::string& name) {
    return f.runtime.add(name, lora_file(0));
  };
  EXPECT_LT(left_by_a_name(f, 1000, add_other), 200);
}

// The confirmed version is what a trial must not be below, and what says that
// it is another adapter is none.
TEST(Runtime, UnderAPolicyAStoreIsNotTrustedBlindly) {
  const std::string folder = temporary("guarded");
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(fieldtune::AdapterStore::init(folder).ok());
  auto store = fieldtune::AdapterStore::open(folder).value();
  ASSERT_TRUE(store.add(named_file(0, "k", "5")).ok());
  ASSERT_TRUE(store.use("k").ok());
  ASSERT_TRUE(store.confirm("k").ok());
  ASSERT_TRUE(store.add(named_file(1, "k", "4")).ok());
  ASSERT_TRUE(store.use("k", 4).ok());
  ASSERT_TRUE(store.add(named_file(2, "bath", "9"), {.name = "hall"}).ok());
  ASSERT_TRUE(store.use("hall").ok());
  Guarded f;
  ASSERT_TRUE(f.runtime.add_store(folder).ok());
  f.refuses("k", "version check");
  EXPECT_EQ(f.answer("k@4"), f.oracle({{lora_file(1)}}));  // was asked for
  f.refuses("hall", "says that it is adapter 'bath'");
  ASSERT_TRUE(store.rollback("k").ok());
  EXPECT_EQ(f.answer("k"), f.oracle({{lora_file(0)}}));
  // A file without a name stands under any, unless the policy asks for it.
  ASSERT_TRUE(store.add(lora_file(3), {.name = "attic"}).ok());
  ASSERT_TRUE(store.use("attic").ok());
  ASSERT_TRUE(f.runtime.add_store(folder).ok());
  EXPECT_EQ(f.answer("attic"), f.oracle({{lora_file(3)}}));
  ASSERT_TRUE(
      write_file_atomically(
          f.policy, std::string_view("format = 1\nrequire_name = true\n"))
          .ok());
  f.runtime = Runtime::open(kBase, {.policy = f.policy}).value();
  ASSERT_TRUE(f.runtime.add_store(folder).ok());
  f.refuses("attic", "does not say which adapter it is");
}

}  // namespace
}  // namespace ft
