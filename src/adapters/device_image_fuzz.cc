// libFuzzer entry: any bytes give an image or a Status, never a crash. What is
// an image and not signed is what our own writer makes of its fields.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "adapters/device_image.h"
#include "ft_bytes.h"
#include "ft_crc32.h"
#include "ft_image.h"

namespace {

void check(std::span<const std::byte> file) {
  const auto image = ft::decode_device_image(file, "fuzz");
  (void)ft::is_device_image(file);
  (void)ft::check_signature(file, ft::PublicKey{}, "fuzz").ok();
  if (!image.ok() || image->is_signed) return;
  const auto bytes = ft::encode_device_image(*image, nullptr);
  FT_CHECK(bytes.ok() && bytes->size() == file.size() &&
           std::ranges::equal(*bytes, file));
}

// The same bytes with length and checksums as they should be: what a fuzzer
// does not guess.
void repair(std::vector<uint8_t>& image) {
  const size_t payload = image.size() - FT_IMAGE_HEADER_BYTES;
  uint8_t* header = image.data();
  ft_put_u32(header + 80, static_cast<uint32_t>(payload));
  ft_put_u32(header + 88, ft_crc32(0, header + FT_IMAGE_HEADER_BYTES, payload));
  ft_put_u32(header + 4, ft_crc32(ft_crc32(0, header, 4), header + 8, 120));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  check(std::as_bytes(std::span(data, size)));
  if (size < FT_IMAGE_HEADER_BYTES) return 0;
  std::vector<uint8_t> image(data, data + size);
  repair(image);
  check(std::as_bytes(std::span(image)));
  return 0;
}
