// libFuzzer entry: any bytes give a parsed file or a Status, never a crash.
// What parses must survive a round trip through our own writer.
#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/safetensors/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = ft::parse_safetensors(std::as_bytes(std::span(data, size)));
  if (!file.ok()) return 0;
  const auto bytes = ft::write_safetensors(file->tensors, file->metadata);
  FT_CHECK(bytes.ok());
  const auto again = ft::parse_safetensors(*bytes);
  FT_CHECK(again.ok() && again->tensors.size() == file->tensors.size() &&
           again->metadata == file->metadata);
  return 0;
}
