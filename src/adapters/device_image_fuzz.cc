// libFuzzer entry: any bytes give an image or a Status, never a crash. What is
// an image and not signed is what our own writer makes of its fields.
#include <cstddef>
#include <cstdint>
#include <span>

#include "adapters/device_image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  const auto image = ft::decode_device_image(file, "fuzz");
  (void)ft::is_device_image(file);
  (void)ft::check_signature(file, ft::PublicKey{}, "fuzz").ok();
  if (!image.ok() || image->is_signed) return 0;
  const auto bytes = ft::encode_device_image(*image, nullptr);
  FT_CHECK(bytes.ok() && bytes->size() == file.size());
  for (size_t i = 0; i < size; ++i) FT_CHECK((*bytes)[i] == file[i]);
  return 0;
}
