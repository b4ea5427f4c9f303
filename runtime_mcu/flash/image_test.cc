#include <gtest/gtest.h>

#include <random>

#include "ft_crc32.h"
#include "ft_image.h"
#include "test_store.h"

namespace ft::test {
namespace {

uint32_t crc_of(std::string_view text) {
  return ft_crc32(0, reinterpret_cast<const uint8_t*>(text.data()),
                  text.size());
}

// The catalogue's check value, and what zlib gives; test_device_image.py
// compares whole files with zlib.
TEST(Crc32, GivesTheKnownValues) {
  EXPECT_EQ(crc_of(""), 0U);
  EXPECT_EQ(crc_of("123456789"), 0xCBF43926U);
  EXPECT_EQ(crc_of("The quick brown fox jumps over the lazy dog"), 0x414FA339U);
  EXPECT_EQ(
      ft_crc32(crc_of("12345"), reinterpret_cast<const uint8_t*>("6789"), 4),
      0xCBF43926U);
}

TEST(Image, ComesBackAsWritten) {
  const auto bytes = make_image(7);
  ft_image image;
  ASSERT_EQ(ft_image_decode(bytes.data(), &image), FT_FLASH_OK);
  EXPECT_EQ(image.kind, FT_IMAGE_ADAPTER);
  EXPECT_EQ(image.flags, 0);
  EXPECT_EQ(image.version, 7U);
  EXPECT_EQ(image.payload_bytes, kAdapterBytes);
  EXPECT_EQ(image.parent, 0U);
  EXPECT_EQ(image.base_hash[15], 0xB0);
  EXPECT_EQ(image.plan_hash[0], 0xA1);
  uint8_t again[FT_IMAGE_HEADER_BYTES];
  EXPECT_EQ(ft_image_encode(&image, nullptr, again), image.header_crc);
  EXPECT_TRUE(std::equal(again, again + sizeof again, bytes.begin()));
}

// The bytes of the format, spelled out.
TEST(Image, HasTheDocumentedLayout) {
  const auto b = make_image(0x01020304);
  EXPECT_EQ(std::string(b.begin(), b.begin() + 4), "FTDI");
  EXPECT_EQ(std::string(b.begin() + 72, b.begin() + 76), "FTDI");
  EXPECT_EQ(b[76], 1);
  EXPECT_EQ(b[77], 0);
  EXPECT_EQ(b[80] | b[81] << 8, static_cast<int>(kAdapterBytes));
  EXPECT_EQ(b[84], 4);
  EXPECT_EQ(b[87], 1);
  EXPECT_EQ(b[92], 0xB0);
  EXPECT_EQ(b[108], 0xA1);
}

TEST(Image, RefusesEveryFlippedBitOfAHeader) {
  auto bytes = make_image(7);
  ft_image image;
  for (size_t bit = 0; bit < FT_IMAGE_HEADER_BYTES * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
    EXPECT_NE(ft_image_decode(bytes.data(), &image), FT_FLASH_OK) << bit;
    bytes[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
  }
}

TEST(Image, RefusesWhatItDoesNotKnow) {
  ft_image image;
  const auto with = [&](size_t at, uint8_t value) {
    auto bytes = make_image(7);
    bytes[at] = value;
    renew_header_crc(bytes);
    return ft_image_decode(bytes.data(), &image);
  };
  EXPECT_EQ(with(84, 8), FT_FLASH_OK);
  EXPECT_EQ(with(0, 'X'), FT_FLASH_NOT_AN_IMAGE);
  EXPECT_EQ(with(72, 'X'), FT_FLASH_BAD_FORMAT);
  EXPECT_EQ(with(76, 2), FT_FLASH_BAD_FORMAT);
  EXPECT_EQ(with(77, 1), FT_FLASH_BAD_FORMAT);
  EXPECT_EQ(with(78, 0), FT_FLASH_BAD_FORMAT);
  EXPECT_EQ(with(78, 3), FT_FLASH_BAD_FORMAT);
  EXPECT_EQ(with(79, 2), FT_FLASH_BAD_FORMAT);
  EXPECT_EQ(with(8, 1), FT_FLASH_BAD_FORMAT);  // a signature, but no flag
  EXPECT_EQ(with(124, 1), FT_FLASH_OK);        // an adapter's number
}

// Any bytes, with and without a matching CRC: never a crash, and what is taken
// has fields that are known.
TEST(Image, SurvivesMutations) {
  std::minstd_rand random(3);
  int taken = 0;
  for (int round = 0; round < 20000; ++round) {
    auto bytes = make_image(static_cast<uint32_t>(round));
    for (auto n = random() % 4 + 1; n > 0; --n)
      bytes[random() % FT_IMAGE_HEADER_BYTES] = static_cast<uint8_t>(random());
    if (round % 2) renew_header_crc(bytes);
    ft_image image;
    if (ft_image_decode(bytes.data(), &image) != FT_FLASH_OK) continue;
    ++taken;
    EXPECT_TRUE(image.kind == FT_IMAGE_ADAPTER || image.kind == FT_IMAGE_STATE);
    EXPECT_EQ(image.flags & ~FT_IMAGE_SIGNED, 0);
  }
  EXPECT_GT(taken, 100);
}

}  // namespace
}  // namespace ft::test
