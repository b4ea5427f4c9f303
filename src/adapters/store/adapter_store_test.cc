#include "fieldtune/adapter_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "adapters/delta/delta_file.h"
#include "adapters/store/database.h"
#include "adapters/store/index.h"
#include "adapters/store/store_folder.h"
#include "adapters/store/test_adapters.h"
#include "adapters/trust/policy.h"
#include "adapters/trust/signature.h"
#include "base/file.h"
#include "base/hash.h"

namespace fieldtune {
namespace {

namespace fs = std::filesystem;
using ft::store::base_digest;
using ft::store::test_adapter;

class Store : public ft::store::StoreFolder {
 protected:
  AdapterStore open(const StoreOpen& options = {}) {
    return AdapterStore::open(folder_, options).value();
  }
  static StoredAdapter add(AdapterStore& store, const std::string& name,
                           uint64_t number) {
    return store.add(test_adapter(number), "test", {.name = name})
        .value()
        .adapter;
  }
  // "1 retired, 2 confirmed".
  static std::string slots(AdapterStore& store, const std::string& name) {
    std::string text;
    const auto rows = store.list(name).value();
    for (const StoredAdapter& row : rows)
      text += (text.empty() ? "" : ", ") + std::to_string(row.version) + " " +
              name_of(row.slot);
    return text;
  }
  std::string object(const StoredAdapter& row) const {
    return folder_ + "/objects/" + row.sha256.substr(0, 2) + "/" + row.sha256 +
           ".safetensors";
  }
};

void expect_says(const Status& status, Code code, const std::string& words) {
  EXPECT_EQ(status.code(), code) << status.message();
  EXPECT_NE(status.message().find(words), std::string::npos)
      << status.message();
}

TEST_F(Store, KeepsWhatTheFileSays) {
  AdapterStore store = open();
  const auto file = test_adapter(
      1, 64,
      {{"name", "me"}, {"version", "7"}, {"parent_sha256", base_digest('c')}});
  const auto added = store.add(file, "test").value();
  EXPECT_TRUE(added.is_new);
  const StoredAdapter row = store.find("me", 7).value();
  EXPECT_EQ(row.sha256, ft::sha256_hex(file));
  EXPECT_EQ(row.parent_sha256, base_digest('c'));
  EXPECT_EQ(row.base_sha256, base_digest('b'));
  EXPECT_EQ(row.method, "lora");
  EXPECT_EQ(row.bytes, file.size());
  EXPECT_EQ(row.metrics.at("accuracy"), 0.875);
  EXPECT_EQ(row.signature, "none");
  EXPECT_EQ(row.slot, Slot::kStaged);
  const auto back = store.load(row).value();
  EXPECT_TRUE(std::ranges::equal(back.bytes(), file));
  EXPECT_TRUE(store.verify().value().empty());
}

TEST_F(Store, ManyUsesAreOneChange) {
  AdapterStore store = open();
  std::vector<StoredAdapter> used;
  for (uint64_t i = 0; i < 3; ++i) used.push_back(add(store, "me", i));
  const int64_t before = store.info()->counter;
  used.push_back({.name = "gone", .version = 7});
  ASSERT_TRUE(store.mark_used(used).ok());
  EXPECT_EQ(store.info()->counter, before + 1);
  const auto rows = store.list("me").value();
  for (const StoredAdapter& row : rows) EXPECT_EQ(row.last_use, before + 1);
  // Nothing to note is no change.
  ASSERT_TRUE(store.mark_used(std::span(used).last(1)).ok());
  ASSERT_TRUE(store.mark_used(std::span<const StoredAdapter>()).ok());
  EXPECT_EQ(store.info()->counter, before + 1);
}

TEST_F(Store, AddingTwiceChangesNothing) {
  AdapterStore store = open();
  EXPECT_EQ(add(store, "me", 1).version, 1);
  EXPECT_EQ(add(store, "me", 2).version, 2);
  const auto again = store.add(test_adapter(1), "test", {.name = "me"}).value();
  EXPECT_FALSE(again.is_new);
  EXPECT_EQ(again.adapter.version, 1);
  EXPECT_EQ(slots(store, "me"), "1 staged, 2 staged");
  // Another name shares the file.
  EXPECT_EQ(add(store, "you", 1).version, 1);
  EXPECT_EQ(store.info().value().adapters, 3);
}

TEST_F(Store, RefusesWhatDoesNotBelong) {
  AdapterStore store = open();
  add(store, "me", 1);
  const auto refused = [&](const std::vector<std::byte>& file,
                           const StoreAdd& options) {
    return store.add(file, "'x'", options).status();
  };
  expect_says(refused(test_adapter(2), {}), Code::kUsage, "give a name");
  for (const char* name : {"a/b", "..", "", "-x", "a b", "\xc3\xa4"})
    if (*name != 0)
      expect_says(refused(test_adapter(2), {.name = name}), Code::kUsage,
                  "is not a name");
  expect_says(refused(test_adapter(2, 64, {{"base_sha256", base_digest('d')}}),
                      {.name = "me"}),
              Code::kInvalidInput, "another base model");
  expect_says(refused(test_adapter(2), {.name = "me", .version = 1}),
              Code::kUsage, "another adapter already");
  expect_says(refused(test_adapter(1), {.name = "me", .version = 2}),
              Code::kUsage, "is me@1 already");
  expect_says(refused(test_adapter(2, 64, {{"version", "two"}}), {.name = "a"}),
              Code::kInvalidInput, "'version'");
  const auto file = test_adapter(3);
  for (size_t n = 0; n < file.size(); n += 7)
    EXPECT_FALSE(
        refused({file.begin(), file.begin() + static_cast<ptrdiff_t>(n)},
                {.name = "me"})
            .ok());
  auto padded = file;
  padded.push_back(std::byte{0});
  EXPECT_EQ(refused(padded, {.name = "me"}).code(), Code::kInvalidInput);
  EXPECT_EQ(slots(store, "me"), "1 staged");
  EXPECT_TRUE(store.verify().value().empty());
}

// What the index could not give back would make the whole store unreadable.
TEST_F(Store, RefusesWhatItCouldNotReadBack) {
  AdapterStore store = open();
  const int64_t most = ft::store::kHighestVersion;
  ASSERT_TRUE(
      store.add(test_adapter(1), "'x'", {.name = "me", .version = most}).ok());
  expect_says(store.add(test_adapter(2), "'x'", {.name = "me"}).status(),
              Code::kUsage, "there is no version above me@");
  expect_says(
      store
          .add(test_adapter(2, 64, {{"version", std::to_string(most + 1)}}),
               "'x'", {.name = "me"})
          .status(),
      Code::kInvalidInput, std::to_string(most + 1));
  EXPECT_EQ(store.list().value().size(), 1u);
  const std::string longest(2 << 20, 'x');
  for (const auto& [key, value] : ft::Metadata{
           {"method", longest}, {"method", "a b"}, {"base_sha256", longest}})
    expect_says(store
                    .add(test_adapter(3, 64, {{key, value}}), "'x'",
                         {.name = "me", .version = 1})
                    .status(),
                Code::kInvalidInput, "metadata '" + key + "' is not");
  expect_says(store.find(longest, 1).status(), Code::kUsage, "longer than");
  expect_says(store.use(longest).status(), Code::kUsage, "longer than");
  EXPECT_TRUE(open().verify().value().empty());
}

TEST_F(Store, MayBelongToOneBase) {
  const std::string other = folder_ + "/of_base";
  fs::create_directory(folder_ + "/of_base");
  ASSERT_TRUE(
      AdapterStore::init(other, {.base_sha256 = base_digest('d')}).ok());
  AdapterStore store = AdapterStore::open(other).value();
  expect_says(store.add(test_adapter(1), "'x'", {.name = "me"}).status(),
              Code::kInvalidInput, "another base model");
}

TEST_F(Store, AsksThePolicy) {
  AdapterStore store = open();
  std::array<uint8_t, 32> seed{};
  const ft::SigningKey key(seed);
  const auto signed_file = [&](uint64_t number, const char* version) {
    return ft::sign_adapter(test_adapter(number), key,
                            {{"name", "me"}, {"version", version}})
        .value();
  };
  const std::string policy = folder_ + "_policy";
  const auto text = ft::with_trusted_key("", policy, "test", key.public_key());
  ASSERT_TRUE(ft::write_file_atomically(policy, *text).ok());
  const StoreAdd asks{.policy = policy};
  expect_says(
      store.add(test_adapter(1, 64, {{"name", "me"}}), "'x'", asks).status(),
      Code::kInvalidInput, "signature check");
  const auto row = store.add(signed_file(2, "2"), "'x'", asks).value().adapter;
  EXPECT_EQ(row.signature, "trusted");
  EXPECT_EQ(row.signed_by, ft::to_hex(key.public_key()));
  ASSERT_TRUE(store.use("me").ok());
  expect_says(store.add(signed_file(3, "1"), "'x'", asks).status(),
              Code::kInvalidInput, "version check");
  EXPECT_EQ(store.add(signed_file(4, "3"), "'x'").value().adapter.signature,
            "valid");
  auto changed = signed_file(5, "5");
  changed.back() ^= std::byte{1};
  EXPECT_FALSE(store.add(changed, "'x'").ok());
  EXPECT_EQ(slots(store, "me"), "2 trial, 3 staged");
  // What was signed as "me" is not taken as "bath"; without a policy it is, and
  // its owner is told.
  const auto other = signed_file(6, "6");
  expect_says(
      store.add(other, "'x'", {.name = "bath", .policy = policy}).status(),
      Code::kInvalidInput, "says that it is adapter 'me'");
  // Nor is what does not say where it belongs, unless the policy allows it.
  const auto nameless = ft::sign_adapter(test_adapter(7), key, {}).value();
  const StoreAdd garage{.name = "garage", .policy = policy};
  expect_says(store.add(nameless, "'x'", garage).status(), Code::kInvalidInput,
              "does not say which adapter it is");
  EXPECT_EQ(store.info().value().names, 1);
  ASSERT_TRUE(
      ft::write_file_atomically(policy, "require_name = false\n" + *text).ok());
  EXPECT_EQ(store.add(nameless, "'x'", garage).value().adapter.name, "garage");
  ASSERT_TRUE(ft::write_file_atomically(policy, *text).ok());
  EXPECT_EQ(store.info().value().names, 2);
  const auto taken = store.add(other, "'x'", {.name = "bath"}).value();
  EXPECT_EQ(taken.adapter.name, "bath");
  EXPECT_NE(taken.note.find("stored as 'bath'"), std::string::npos);
  EXPECT_EQ(store.add(other, "'x'").value().note, "");
  fs::remove(policy);
}

TEST_F(Store, MovesVersionsThroughTheirSlots) {
  AdapterStore store = open();
  for (uint64_t i = 1; i <= 4; ++i) add(store, "me", i);
  expect_says(store.active("me").status(), Code::kUsage, "in use");
  expect_says(store.active("you").status(), Code::kUsage, "no adapter 'you'");
  expect_says(store.confirm("me").status(), Code::kUsage, "on trial");
  expect_says(store.rollback("me").status(), Code::kUsage, "was confirmed");

  EXPECT_EQ(store.use("me", 1).value().slot, Slot::kTrial);
  expect_says(store.confirm("me", 2).status(), Code::kUsage, "not 2");
  EXPECT_EQ(store.confirm("me", 1).value().slot, Slot::kConfirmed);
  expect_says(store.rollback("me").status(), Code::kUsage, "before me@1");
  EXPECT_EQ(store.use("me").value().version, 4);  // the highest staged
  EXPECT_EQ(store.active("me").value().version, 4);
  EXPECT_EQ(store.use("me", 2).value().version, 2);
  EXPECT_EQ(slots(store, "me"), "1 confirmed, 2 trial, 3 staged, 4 staged");
  EXPECT_EQ(store.rollback("me").value().version, 1);
  EXPECT_EQ(slots(store, "me"), "1 confirmed, 2 retired, 3 staged, 4 staged");
  ASSERT_TRUE(store.use("me", 3).ok());
  ASSERT_TRUE(store.use("me", 1).ok());  // ends the trial
  EXPECT_EQ(slots(store, "me"), "1 confirmed, 2 retired, 3 staged, 4 staged");
  ASSERT_TRUE(store.use("me", 2).ok());
  ASSERT_TRUE(store.confirm("me").ok());
  ASSERT_TRUE(store.use("me", 3).ok());
  ASSERT_TRUE(store.confirm("me").ok());
  EXPECT_EQ(slots(store, "me"), "1 retired, 2 retired, 3 confirmed, 4 staged");
  EXPECT_EQ(store.rollback("me").value().version, 2);
  ASSERT_TRUE(store.use("me", 4).ok());
  ASSERT_TRUE(store.confirm("me").ok());
  EXPECT_EQ(store.rollback("me").value().version, 2) << "3 was rolled back";
  EXPECT_EQ(store.rollback("me").value().version, 1);
  expect_says(store.rollback("me").status(), Code::kUsage, "before me@1");
}

TEST_F(Store, FollowsParents) {
  AdapterStore store = open();
  const StoredAdapter first = add(store, "me", 1);
  const auto child =
      store
          .add(test_adapter(2, 64, {{"parent_sha256", first.sha256}}), "test",
               {.name = "me"})
          .value()
          .adapter;
  const auto line = store.lineage(child).value();
  ASSERT_EQ(line.size(), 2u);
  EXPECT_EQ(line[1].version, 1);
}

TEST_F(Store, TakesADelta) {
  AdapterStore store = open();
  const auto first = test_adapter(1, 4000, {{"version", "1"}});
  const auto second = test_adapter(2, 4000, {{"version", "2"}});
  const std::string path = folder_ + ".delta";
  const auto delta = ft::make_delta(first, second).value();
  ASSERT_TRUE(ft::write_file_atomically(path, delta.bytes).ok());
  const auto refused = [&](Code code, const std::string& words,
                           const StoreAdd& options = {},
                           uint64_t most = 1000000) {
    const auto before = store.list().value().size();
    expect_says(store.add_delta(path, options, most).status(), code, words);
    EXPECT_EQ(store.list().value().size(), before);
    EXPECT_TRUE(store.verify().value().empty());
  };
  refused(Code::kInvalidInput, "does not have");
  add(store, "me", 3);  // of another content
  refused(Code::kInvalidInput, "does not have");
  ASSERT_TRUE(store.add(first, "first", {.name = "you"}).ok());
  refused(Code::kInvalidInput, "does not have as 'me'", {.name = "me"});
  refused(Code::kDoesNotFit, "above the limit of 1000", {}, 1000);
  ASSERT_TRUE(store.add(first, "first", {.name = "they"}).ok());
  refused(Code::kUsage, "give the name");
  const auto added = store.add_delta(path, {.name = "you"}).value();
  EXPECT_EQ(added.adapter.name, "you");
  EXPECT_EQ(added.adapter.version, 2);
  EXPECT_EQ(added.adapter.sha256, ft::sha256_hex(second));
  EXPECT_FALSE(store.add_delta(path, {.name = "you"}).value().is_new);
  for (const size_t cut : {size_t{0}, size_t{20}, delta.bytes.size() - 1}) {
    const std::span<const std::byte> part(delta.bytes.data(), cut);
    ASSERT_TRUE(ft::write_file_atomically(path, part).ok());
    refused(Code::kInvalidInput, "", {.name = "they"});
  }
  auto damaged = delta.bytes;
  damaged[damaged.size() - 3] ^= std::byte{1};
  ASSERT_TRUE(ft::write_file_atomically(path, damaged).ok());
  refused(Code::kInvalidInput, "", {.name = "they"});
  fs::remove(path);
}

TEST_F(Store, CollectsByPolicy) {
  AdapterStore store = open();
  for (uint64_t i = 1; i <= 8; ++i) add(store, "me", i);
  for (const int64_t v : {1, 2}) {
    ASSERT_TRUE(store.use("me", v).ok());
    ASSERT_TRUE(store.confirm("me").ok());
  }
  ASSERT_TRUE(store.use("me", 3).ok());
  ASSERT_TRUE(store.pin("me", 4).ok());
  const auto dry = store.collect({.keep = 1, .dry_run = true}).value();
  EXPECT_EQ(dry.adapters.size(), 3u);
  EXPECT_EQ(store.list("me").value().size(), 8u);
  const auto gone = store.collect({.keep = 1}).value();
  EXPECT_EQ(gone.adapters.size(), 3u);
  EXPECT_EQ(gone.freed_bytes, dry.freed_bytes);
  EXPECT_EQ(slots(store, "me"),
            "1 retired, 2 confirmed, 3 trial, 4 staged, 8 staged");
  EXPECT_FALSE(fs::exists(object(gone.adapters[0])));
  const uint64_t each = store.find("me", 1).value().bytes;
  const auto by_bytes =
      store.collect({.max_bytes = static_cast<int64_t>(4 * each)}).value();
  EXPECT_EQ(by_bytes.kept_bytes, 4 * each);
  EXPECT_EQ(slots(store, "me"), "1 retired, 2 confirmed, 3 trial, 4 staged");
  expect_says(store.collect({.max_bytes = 1}).status(), Code::kDoesNotFit,
              "nothing was removed");
  EXPECT_TRUE(store.verify().value().empty());
}

TEST_F(Store, RemovesLeftoversOnly) {
  AdapterStore store = open();
  const StoredAdapter row = add(store, "me", 1);
  fs::create_directories(folder_ + "/objects/aa");
  const std::string orphan = folder_ + "/objects/aa/" + base_digest('a');
  for (const char* end : {".safetensors", ".safetensors.ft-tmp-Ab12cD", ".txt"})
    std::ofstream(orphan + end) << "x";
  auto problems = store.verify(true).value();
  ASSERT_EQ(problems.size(), 3u);
  EXPECT_TRUE(problems[0].repaired && problems[1].repaired);
  EXPECT_FALSE(problems[2].repaired);
  EXPECT_TRUE(fs::exists(orphan + ".txt"));
  EXPECT_EQ(store.verify().value().size(), 1u);
  EXPECT_TRUE(store.load(row).ok());
}

TEST_F(Store, TellsDamagedFilesAndAddsThemAnew) {
  AdapterStore store = open();
  const StoredAdapter row = add(store, "me", 1);
  const auto file = test_adapter(1);
  const auto damage = [&](const std::vector<std::byte>& bytes) {
    ASSERT_TRUE(ft::write_file_atomically(object(row), bytes).ok());
  };
  auto bytes = file;
  bytes[bytes.size() - 2] ^= std::byte{1};
  damage(bytes);
  expect_says(store.load(row).status(), Code::kInvalidInput, "damaged");
  EXPECT_TRUE(store.load(row, false).ok());
  bytes.pop_back();
  damage(bytes);
  expect_says(store.load(row, false).status(), Code::kInvalidInput, "damaged");
  EXPECT_EQ(store.verify().value().size(), 1u);
  fs::remove(object(row));
  expect_says(store.load(row).status(), Code::kIo, "me@1");
  EXPECT_EQ(store.verify().value().size(), 1u);
  add(store, "me", 1);
  EXPECT_TRUE(store.load(row).ok());
  EXPECT_TRUE(store.verify().value().empty());
}

TEST_F(Store, IsNotMadeTwiceOrOverOthers) {
  expect_says(AdapterStore::init(folder_), Code::kUsage, "already");
  const std::string other = folder_ + "/other";
  fs::create_directory(other);
  expect_says(AdapterStore::open(other).status(), Code::kInvalidInput,
              "not an adapter store");
  expect_says(AdapterStore::open(folder_ + "/none").status(),
              Code::kInvalidInput, "not an adapter store");
  std::ofstream(other + "/mine") << "x";
  expect_says(AdapterStore::init(other), Code::kUsage, "folder of its own");
  fs::remove(other + "/mine");
  std::ofstream(other + "/index.sqlite") << "an init that was interrupted";
  EXPECT_TRUE(AdapterStore::init(other).ok());
  EXPECT_TRUE(AdapterStore::open(other).ok());
}

TEST_F(Store, RefusesADamagedIndex) {
  { add(*std::make_unique<AdapterStore>(open()), "me", 1); }
  const std::string index = folder_ + "/index.sqlite";
  const std::string whole = ft::read_text_file(index).value();
  fs::remove(index + "-wal");
  const auto opened = [&](const std::string& text) {
    FT_CHECK(ft::write_file_atomically(index, text).ok());
    auto store = AdapterStore::open(folder_);
    return store.ok() ? store->list().status() : store.status();
  };
  expect_says(opened("not a database at all, but long enough for a header, "
                     "which has a hundred bytes, more or less"),
              Code::kInvalidInput, "damaged");
  expect_says(opened(""), Code::kInvalidInput, "not of a store");
  expect_says(opened(whole.substr(0, 5000)), Code::kInvalidInput, "damaged");
  EXPECT_TRUE(opened(whole).ok());
}

TEST_F(Store, DoesNotGoByTheClock) {
  AdapterStore store = open();
  add(store, "me", 1);
  EXPECT_EQ(store.info().value().clock_behind_seconds, 0);
  auto index = ft::store::Database::open(
      folder_ + "/index.sqlite", ft::store::Database::Mode::kWrite, 1000, "");
  ASSERT_TRUE(index.ok()) << index.status().message();
  ASSERT_TRUE(
      index->execute("UPDATE store SET highest_time = highest_time + 5000")
          .ok());
  ASSERT_TRUE(index->close().ok());
  EXPECT_NEAR(static_cast<double>(store.info().value().clock_behind_seconds),
              5000, 60);
  EXPECT_GT(add(store, "me", 2).added, store.find("me", 1).value().added);
  EXPECT_EQ(store.use("me").value().version, 2);
}

}  // namespace
}  // namespace fieldtune
