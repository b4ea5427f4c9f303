// A store over a simulated flash, and images for it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ft_flash.h"
#include "sim_flash.h"

namespace ft::test {

struct Geometry {
  uint32_t page_bytes, program_bytes;
};
// Small pages; double words; units of 32 bytes; single bytes.
inline constexpr Geometry kGeometries[] = {
    {128, 4}, {512, 8}, {1024, 32}, {256, 1}};

inline constexpr uint32_t kAdapterBytes = 300;
inline constexpr uint32_t kStateBytes = 170;

// Not a multiple of any unit, so that borders are met.
ft_flash_config test_config(const Geometry& geometry);

// Values that belong to version `version` only.
std::vector<uint8_t> adapter_values(uint32_t version);
std::vector<uint8_t> state_values(uint32_t number);

struct ImageOptions {
  uint8_t kind = FT_IMAGE_ADAPTER;
  uint32_t payload_bytes = kAdapterBytes;
  bool other_base = false, other_plan = false;
  uint32_t number = 0;
  const uint8_t* secret_key = nullptr;  // libsodium's 64 bytes: sign with it
};
std::vector<uint8_t> make_image(uint32_t version,
                                const ImageOptions& options = {});
// After a change of an image's bytes: CRCs as they should be.
void renew_header_crc(std::vector<uint8_t>& image);

struct KeyPair {
  std::array<uint8_t, 32> public_key;
  std::array<uint8_t, 64> secret_key;
};
KeyPair make_keys(uint8_t seed);

// begin, write in pieces of `piece` bytes, end.
ft_flash_status install(ft_flash& store, const std::vector<uint8_t>& image,
                        uint32_t piece = 1U << 20);
ft_flash_status save(ft_flash& store, uint32_t number);

// The version whose values the store runs, bit for bit; 0: no adapter. -1: a
// mix.
int running_adapter(const ft_flash& store, uint32_t highest);

}  // namespace ft::test
