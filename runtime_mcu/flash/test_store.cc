#include "test_store.h"

#include <sodium.h>

#include <algorithm>
#include <span>

#include "ft_crc32.h"

namespace ft::test {
namespace {

std::vector<uint8_t> values(uint32_t seed, uint32_t count) {
  std::vector<uint8_t> bytes(count);
  std::minstd_rand random(seed);
  std::ranges::generate(bytes, [&] { return static_cast<uint8_t>(random()); });
  return bytes;
}

uint32_t whole_pages(uint32_t bytes, uint32_t page) {
  return (bytes + page - 1) / page * page;
}

}  // namespace

ft_flash_config test_config(const Geometry& geometry) {
  const uint32_t page = geometry.page_bytes;
  ft_flash_config config = {
      .driver = {},
      .offset = 0,
      .page_bytes = page,
      .program_bytes = geometry.program_bytes,
      .slot_bytes = whole_pages(FT_IMAGE_HEADER_BYTES + kAdapterBytes, page),
      .state_slot_bytes =
          whole_pages(FT_IMAGE_HEADER_BYTES + kStateBytes, page),
      .state_slots = 2,
      .number = 0,
      .adapter_bytes = kAdapterBytes,
      .state_bytes = kStateBytes,
      .base_hash = {},
      .plan_hash = {},
      .state_plan_hash = {},
      .public_key = nullptr,
      .verify = nullptr,
      .verify_at_open = 0};
  std::ranges::fill(config.base_hash, uint8_t{0xB0});
  std::ranges::fill(config.plan_hash, uint8_t{0xA1});
  std::ranges::fill(config.state_plan_hash, uint8_t{0x57});
  return config;
}

std::vector<uint8_t> adapter_values(uint32_t version) {
  return values(1000 + version, kAdapterBytes);
}
std::vector<uint8_t> state_values(uint32_t number) {
  return values(2000 + number, kStateBytes);
}

std::vector<uint8_t> make_image(uint32_t version, const ImageOptions& options) {
  const ft_flash_config config = test_config(kGeometries[0]);
  std::vector<uint8_t> payload = adapter_values(version);
  payload.resize(options.payload_bytes);
  ft_image image = {
      .kind = options.kind,
      .flags = static_cast<uint8_t>(options.secret_key ? FT_IMAGE_SIGNED : 0),
      .payload_bytes = options.payload_bytes,
      .version = version,
      .payload_crc = ft_crc32(0, payload.data(), payload.size()),
      .parent = options.number,
      .base_hash = {},
      .plan_hash = {},
      .header_crc = 0};
  std::ranges::copy(config.base_hash, image.base_hash);
  std::ranges::copy(config.plan_hash, image.plan_hash);
  if (options.other_base) image.base_hash[15] ^= 1;
  if (options.other_plan) image.plan_hash[0] ^= 0x80;
  std::vector<uint8_t> bytes(FT_IMAGE_HEADER_BYTES);
  ft_image_encode(&image, nullptr, bytes.data());
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  if (options.secret_key) {
    crypto_sign_detached(bytes.data() + FT_IMAGE_SIGNATURE_OFFSET, nullptr,
                         bytes.data() + FT_IMAGE_SIGNED_OFFSET,
                         bytes.size() - FT_IMAGE_SIGNED_OFFSET,
                         options.secret_key);
    renew_header_crc(bytes);
  }
  return bytes;
}

void renew_header_crc(std::vector<uint8_t>& image) {
  const uint32_t crc =
      ft_crc32(ft_crc32(0, image.data(), 4), image.data() + 8, 120);
  for (size_t i = 0; i < 4; ++i)
    image[4 + i] = static_cast<uint8_t>(crc >> (8 * i));
}

KeyPair make_keys(uint8_t seed) {
  std::array<uint8_t, 32> bytes;
  bytes.fill(seed);
  KeyPair keys;
  crypto_sign_seed_keypair(keys.public_key.data(), keys.secret_key.data(),
                           bytes.data());
  return keys;
}

ft_flash_status install(ft_flash& store, const std::vector<uint8_t>& image,
                        uint32_t piece) {
  ft_flash_status status =
      ft_flash_begin(&store, static_cast<uint32_t>(image.size()));
  for (size_t at = 0; status == FT_FLASH_OK && at < image.size(); at += piece)
    status = ft_flash_write(
        &store, image.data() + at,
        static_cast<uint32_t>(std::min<size_t>(piece, image.size() - at)));
  return status == FT_FLASH_OK ? ft_flash_end(&store) : status;
}

ft_flash_status save(ft_flash& store, uint32_t number) {
  const auto state = state_values(number);
  const ft_flash_part parts[] = {{state.data(), 21},
                                 {state.data() + 21, kStateBytes - 21}};
  return ft_flash_save_state(&store, parts, 2);
}

int running_adapter(const ft_flash& store, uint32_t highest) {
  const uint8_t* adapter = ft_flash_adapter(&store);
  if (adapter == nullptr) return 0;
  for (uint32_t version = 1; version <= highest; ++version)
    if (std::ranges::equal(adapter_values(version),
                           std::span(adapter, kAdapterBytes)))
      return ft_flash_version(&store) == version ? static_cast<int>(version)
                                                 : -1;
  return -1;
}

}  // namespace ft::test
