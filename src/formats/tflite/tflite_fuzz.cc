// libFuzzer entry: any bytes give a model or a Status, never a crash. What
// imports must also survive being rewritten.
#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/tflite/export.h"
#include "formats/tflite/import.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const ft::ImportOptions options{.dequantize = size % 2 == 1,
                                  .dynamic_range = size % 5 < 2,
                                  .batch = static_cast<int>(size % 3)};
  const auto model = ft::import_tflite(bytes, options);
  if (!model.ok()) return 0;
  const auto plain = ft::import_tflite(bytes);
  if (!plain.ok()) return 0;
  const auto copy = ft::rewrite_tflite(bytes, {});
  FT_CHECK(copy.ok());
  return 0;
}
