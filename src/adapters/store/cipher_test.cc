#include "adapters/store/cipher.h"

#include <gtest/gtest.h>
#include <linux/keyctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "adapters/store/test_adapters.h"
#include "base/file.h"

namespace ft::store {
namespace {

using fieldtune::AdapterStore;
namespace fs = std::filesystem;

std::array<uint8_t, 32> key_of(uint8_t first) {
  std::array<uint8_t, 32> key;
  std::iota(key.begin(), key.end(), first);
  return key;
}

std::string key_file(const std::string& name, uint8_t first) {
  const std::string path = testing::TempDir() + name + std::to_string(getpid());
  const auto key = key_of(first);
  FT_CHECK(write_file_atomically(path, std::as_bytes(std::span(key))).ok());
  chmod(path.c_str(), 0600);
  return path;
}

std::vector<std::byte> text_of(size_t size) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7);
  return bytes;
}

TEST(Cipher, GivesBackWhatItTook) {
  const Cipher cipher(key_of(1));
  for (const size_t size : {0, 1, 65535, 65536, 65537, 200000}) {
    const auto plain = text_of(size);
    const auto sealed = cipher.seal(plain, "name");
    EXPECT_EQ(cipher.open(sealed, "name", "x").value(), plain) << size;
    EXPECT_FALSE(cipher.open(sealed, "other", "x").ok());
    EXPECT_FALSE(Cipher(key_of(2)).open(sealed, "name", "x").ok());
  }
}

TEST(Cipher, RefusesEveryChangeAndTruncation) {
  const Cipher cipher(key_of(1));
  const auto sealed = cipher.seal(text_of(300), "name");
  for (size_t i = 0; i < sealed.size(); ++i) {
    auto bytes = sealed;
    bytes[i] ^= std::byte{4};
    EXPECT_FALSE(cipher.open(bytes, "name", "x").ok()) << i;
    EXPECT_FALSE(cipher.open(std::span(sealed).first(i), "name", "x").ok());
  }
  auto padded = sealed;
  padded.push_back(std::byte{0});
  EXPECT_FALSE(cipher.open(padded, "name", "x").ok());
  // A whole piece less.
  const auto two = cipher.seal(text_of(70000), "name");
  const size_t first = 8 + 24 + 65536 + 17;
  EXPECT_FALSE(cipher.open(std::span(two).first(first), "name", "x").ok());
}

struct EncryptedStore : testing::Test {
  void SetUp() override {
    folder = testing::TempDir() + "ft_encrypted_" + std::to_string(getpid()) +
             testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder);
  }
  void TearDown() override { fs::remove_all(folder); }
  std::string folder;
};

TEST_F(EncryptedStore, KeepsNoPlainFile) {
  const std::string key = key_file("key", 3), wrong = key_file("wrong", 4);
  ASSERT_TRUE(AdapterStore::init(folder, {.key = {.file = key}}).ok());
  const auto file = test_adapter(1);
  {
    AdapterStore store =
        AdapterStore::open(folder, {.key = {.file = key}}).value();
    const auto row = store.add(file, "x", {.name = "me"}).value().adapter;
    EXPECT_EQ(row.bytes, file.size());
    EXPECT_TRUE(std::ranges::equal(store.load(row).value().bytes(), file));
    EXPECT_TRUE(store.verify().value().empty());
    const std::string object =
        read_text_file(folder + "/objects/" + row.sha256.substr(0, 2) + "/" +
                       row.sha256 + ".safetensors")
            .value();
    EXPECT_EQ(object.find("lora_A"), std::string::npos);
  }
  const auto other = AdapterStore::open(folder, {.key = {.file = wrong}});
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.status().message().find("another key"), std::string::npos);
  AdapterStore none = AdapterStore::open(folder).value();
  EXPECT_EQ(none.list("me").value().size(), 1u);
  EXPECT_EQ(none.load(none.find("me", 1).value()).status().code(),
            Code::kUsage);
  EXPECT_EQ(none.add(test_adapter(2), "x", {.name = "me"}).status().code(),
            Code::kUsage);
  EXPECT_EQ(none.list("me").value().size(), 1u);
}

TEST_F(EncryptedStore, RefusesKeysThatOthersMayReadAndOtherSizes) {
  const std::string key = key_file("open_key", 5);
  chmod(key.c_str(), 0644);
  const Status open = AdapterStore::init(folder, {.key = {.file = key}});
  EXPECT_NE(open.message().find("chmod 600"), std::string::npos);
  chmod(key.c_str(), 0600);
  EXPECT_EQ(truncate(key.c_str(), 31), 0);
  const Status size = AdapterStore::init(folder, {.key = {.file = key}});
  EXPECT_NE(size.message().find("31 bytes"), std::string::npos);
  ASSERT_TRUE(AdapterStore::init(folder).ok());
  EXPECT_EQ(AdapterStore::open(folder, {.key = {.file = key}}).status().code(),
            Code::kUsage);
}

TEST_F(EncryptedStore, TakesItsKeyFromTheKeyring) {
  const auto key = key_of(6);
  const std::string name = "fieldtune:test" + std::to_string(getpid());
  const long id = syscall(SYS_add_key, "user", name.c_str(), key.data(),
                          key.size(), KEY_SPEC_PROCESS_KEYRING);
  if (id < 0)
    GTEST_SKIP() << "this kernel refuses keyrings: " << std::strerror(errno);
  ASSERT_TRUE(AdapterStore::init(folder, {.key = {.keyring = name}}).ok());
  AdapterStore store =
      AdapterStore::open(folder, {.key = {.keyring = name}}).value();
  const auto row =
      store.add(test_adapter(1), "x", {.name = "me"}).value().adapter;
  EXPECT_TRUE(store.load(row).ok());
  const auto none = AdapterStore::open(folder, {.key = {.keyring = "no such"}});
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.status().message().find("no key 'no such'"),
            std::string::npos);
}

}  // namespace
}  // namespace ft::store
