#include "adapters/device_image.h"

#include <gtest/gtest.h>
#include <sodium.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/hash.h"
#include "base/random.h"

namespace ft {
namespace {

std::vector<std::byte> payload_of(size_t bytes) {
  std::vector<std::byte> payload(bytes);
  for (size_t i = 0; i < bytes; ++i)
    payload[i] = static_cast<std::byte>(7 * i + 1);
  return payload;
}

SigningKey key_of(uint8_t fill) {
  std::array<uint8_t, 32> seed;
  seed.fill(fill);
  return SigningKey(seed);
}

DeviceImage image_of(std::span<const std::byte> payload) {
  return {.version = 3,
          .base_hash = *hash_prefix(sha256_hex({})),
          .plan_hash = *hash_prefix(sha256_hex(payload)),
          .payload = payload};
}

TEST(DeviceImage, ComesBackAsWritten) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{16}, size_t{5000}}) {
    const auto payload = payload_of(size);
    const SigningKey key = key_of(9);
    for (const SigningKey* signer :
         {static_cast<const SigningKey*>(nullptr), &key}) {
      const auto bytes = encode_device_image(image_of(payload), signer);
      ASSERT_TRUE(bytes.ok());
      EXPECT_EQ(bytes->size(), 128 + size);
      EXPECT_TRUE(is_device_image(*bytes));
      const auto image = decode_device_image(*bytes, "x");
      ASSERT_TRUE(image.ok()) << image.status().message();
      EXPECT_EQ(image->kind, DeviceImage::Kind::kAdapter);
      EXPECT_EQ(image->version, 3U);
      EXPECT_EQ(image->is_signed, signer != nullptr);
      EXPECT_EQ(to_hex(image->base_hash), sha256_hex({}).substr(0, 32));
      EXPECT_TRUE(std::ranges::equal(image->payload, payload));
      EXPECT_EQ(check_signature(*bytes, key.public_key(), "x").ok(),
                signer != nullptr);
      EXPECT_FALSE(check_signature(*bytes, key_of(8).public_key(), "x").ok());
    }
  }
}

TEST(DeviceImage, SignsEverythingButItsTwoChecksums) {
  const auto payload = payload_of(40);
  const SigningKey key = key_of(1);
  const auto bytes = encode_device_image(image_of(payload), &key).value();
  const auto message = std::span(bytes).subspan(72);
  const auto signature = key.sign(message);
  EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(signature)),
                                 std::span(bytes).subspan(8, 64)));
}

TEST(DeviceImage, SaysInOneSentenceWhatIsWrong) {
  const auto payload = payload_of(40);
  const auto good = encode_device_image(image_of(payload), nullptr).value();
  const auto error = [&](auto change) {
    auto bytes = good;
    change(bytes);
    const auto image = decode_device_image(bytes, "a.img");
    EXPECT_EQ(image.status().code(), Code::kInvalidInput);
    return image.status().message();
  };
  using Bytes = std::vector<std::byte>;
  EXPECT_EQ(error([](Bytes& b) { b.resize(100); }),
            "'a.img': 100 bytes are fewer than the 128 of a device image's "
            "header");
  EXPECT_EQ(error([](Bytes& b) { b.pop_back(); }),
            "'a.img': the header promises 40 bytes of payload, the file has "
            "39");
  EXPECT_EQ(error([](Bytes& b) { b[0] ^= std::byte{1}; }),
            "'a.img': not a device image");
  EXPECT_EQ(error([](Bytes& b) { b[90] ^= std::byte{1}; }),
            "'a.img': the header's CRC-32 does not match");
  EXPECT_EQ(error([](Bytes& b) { b[130] ^= std::byte{1}; }),
            "'a.img': the payload's CRC-32 does not match");
  EXPECT_TRUE(is_device_image(std::span(good).first(20)));
  EXPECT_FALSE(is_device_image(std::span(good).first(3)));
  EXPECT_EQ(hash_prefix("12").status().code(), Code::kInternal);
}

// Mutations, a third of them with a header CRC to match: never a crash, and an
// unsigned image that is taken is what our writer makes of it.
TEST(DeviceImage, SurvivesMutations) {
  const auto payload = payload_of(24);
  const SigningKey key = key_of(1);
  const Random random(11, "device image mutations");
  uint64_t draw = 0;
  const auto below = [&](size_t n) {
    return random.below(draw++, static_cast<uint32_t>(n));
  };
  int taken = 0;
  for (int round = 0; round < 10000; ++round) {
    auto bytes =
        encode_device_image(image_of(payload), round % 2 ? &key : nullptr)
            .value();
    if (below(4) == 0) bytes.resize(below(bytes.size() + 1));
    for (auto n = below(4); n > 0 && !bytes.empty(); --n)
      bytes[below(bytes.size())] = static_cast<std::byte>(below(256));
    const auto image = decode_device_image(bytes, "x");
    (void)check_signature(bytes, key.public_key(), "x").ok();
    if (!image.ok()) continue;
    ++taken;
    if (!image->is_signed) {
      EXPECT_EQ(encode_device_image(*image, nullptr).value(), bytes);
    }
  }
  EXPECT_GT(taken, 1000);
  EXPECT_LT(taken, 5000);
}

class SigningKeyFiles : public testing::Test {
 protected:
  SigningKeyFiles() : path_(testing::TempDir() + "/signing_key_test.key") {
    clear();
  }
  ~SigningKeyFiles() override { clear(); }
  void clear() {
    std::filesystem::remove(path_);
    std::filesystem::remove(path_ + ".pub");
  }
  std::string path_;
};

TEST_F(SigningKeyFiles, AreMadeOnceAndForTheirOwnerOnly) {
  const auto made = create_signing_key(path_);
  ASSERT_TRUE(made.ok()) << made.status().message();
  struct stat info;
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  const auto key = load_signing_key(path_);
  ASSERT_TRUE(key.ok()) << key.status().message();
  EXPECT_EQ(key->public_key(), *made);
  EXPECT_EQ(*load_public_key(path_ + ".pub"), *made);
  EXPECT_EQ(create_signing_key(path_).status().code(), Code::kUsage);
  std::filesystem::remove(path_);
  EXPECT_EQ(create_signing_key(path_).status().code(), Code::kUsage);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(SigningKeyFiles, AreRefusedWhenOthersMayReadThemOrTheyAreNone) {
  ASSERT_TRUE(create_signing_key(path_).ok());
  ASSERT_EQ(::chmod(path_.c_str(), 0640), 0);
  EXPECT_EQ(load_signing_key(path_).status().code(), Code::kInvalidInput);
  EXPECT_EQ(load_signing_key(path_ + ".pub").status().code(),
            Code::kInvalidInput);
  EXPECT_EQ(load_public_key(path_).status().code(), Code::kInvalidInput);
  EXPECT_FALSE(load_signing_key(path_ + ".none").ok());
}

}  // namespace
}  // namespace ft
