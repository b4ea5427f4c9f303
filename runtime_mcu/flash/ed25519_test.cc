// The device's Ed25519 against RFC 8032 and libsodium.
#include <gtest/gtest.h>
#include <sodium.h>

#include <random>
#include <string>
#include <vector>

#include "ft_ed25519.h"
#include "test_store.h"

// Monocypher's, whose header cannot stand beside libsodium's.
extern "C" void crypto_ed25519_sign(uint8_t signature[64],
                                    const uint8_t seed[32],
                                    const uint8_t public_key[32],
                                    const uint8_t* message, size_t bytes);

namespace ft::test {
namespace {

std::vector<uint8_t> bytes_of(const std::string& hex) {
  std::vector<uint8_t> bytes(hex.size() / 2);
  if (bytes.empty()) return bytes;
  EXPECT_EQ(sodium_hex2bin(bytes.data(), bytes.size(), hex.data(), hex.size(),
                           nullptr, nullptr, nullptr),
            0);
  return bytes;
}

bool verify(const std::vector<uint8_t>& signature,
            const std::vector<uint8_t>& key,
            const std::vector<uint8_t>& message) {
  return ft_ed25519_verify(signature.data(), key.data(), message.data(),
                           message.size()) == 1;
}

struct Vector {
  const char *key, *message, *signature;
};
// RFC 8032, 7.1: tests 1 to 3 and SHA(abc).
constexpr Vector kRfc8032[] = {
    {"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb882159"
     "0a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
    {"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43"
     "e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538"
     "d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
    {"ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a2"
     "74fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9a"
     "c90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"},
};

TEST(Ed25519, AcceptsTheVectorsOfRfc8032) {
  for (const Vector& v : kRfc8032) {
    const auto key = bytes_of(v.key), message = bytes_of(v.message);
    auto signature = bytes_of(v.signature);
    EXPECT_TRUE(verify(signature, key, message)) << v.message;
    signature[3] ^= 1;
    EXPECT_FALSE(verify(signature, key, message));
  }
}

TEST(Ed25519, AgreesWithLibsodiumBothWays) {
  std::minstd_rand random(1);
  for (uint8_t round = 0; round < 40; ++round) {
    const KeyPair keys = make_keys(round);
    std::vector<uint8_t> message(random() % 700), signature(64), device(64);
    for (uint8_t& b : message) b = static_cast<uint8_t>(random());
    crypto_sign_detached(signature.data(), nullptr, message.data(),
                         message.size(), keys.secret_key.data());
    const std::vector<uint8_t> key(keys.public_key.begin(),
                                   keys.public_key.end());
    EXPECT_TRUE(verify(signature, key, message));
    // The secret key of libsodium begins with the seed.
    crypto_ed25519_sign(device.data(), keys.secret_key.data(), key.data(),
                        message.data(), message.size());
    EXPECT_EQ(device, signature);
    EXPECT_EQ(crypto_sign_verify_detached(device.data(), message.data(),
                                          message.size(), key.data()),
              0);
    // One changed bit anywhere: both refuse.
    auto changed = signature;
    changed[random() % 64] ^= static_cast<uint8_t>(1U << (random() % 8));
    EXPECT_FALSE(verify(changed, key, message));
    EXPECT_NE(crypto_sign_verify_detached(changed.data(), message.data(),
                                          message.size(), key.data()),
              0);
    if (message.empty()) continue;
    message[random() % message.size()] ^= 0x10;
    EXPECT_FALSE(verify(signature, key, message));
  }
}

// S and S + L satisfy the same equation; only the smaller one is a signature.
TEST(Ed25519, RefusesAnSThatIsNotReduced) {
  const auto order = bytes_of(
      "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  for (const Vector& v : kRfc8032) {
    auto signature = bytes_of(v.signature);
    unsigned carry = 0;
    for (size_t i = 0; i < 32; ++i) {
      carry += unsigned{signature[32 + i]} + order[i];
      signature[32 + i] = static_cast<uint8_t>(carry);
      carry >>= 8;
    }
    ASSERT_EQ(carry, 0U);
    EXPECT_FALSE(verify(signature, bytes_of(v.key), bytes_of(v.message)));
  }
}

TEST(Ed25519, RefusesAnotherKeyAndNoPointAtAll) {
  const Vector& v = kRfc8032[1];
  const auto signature = bytes_of(v.signature), message = bytes_of(v.message);
  EXPECT_FALSE(verify(signature, bytes_of(kRfc8032[0].key), message));
  EXPECT_FALSE(verify(std::vector<uint8_t>(64, 0), bytes_of(v.key), message));
  EXPECT_FALSE(verify(std::vector<uint8_t>(64, 255), bytes_of(v.key), message));
  // About half of all y are of no point of the curve.
  std::vector<uint8_t> key(32, 0);
  for (uint8_t y = 2; y < 40; ++y) {
    key[0] = y;
    EXPECT_FALSE(verify(signature, key, message));
  }
}

}  // namespace
}  // namespace ft::test
