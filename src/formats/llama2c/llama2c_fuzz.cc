// libFuzzer entry: any bytes give a parsed checkpoint or a Status; a small one
// that parses must import.
#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/llama2c/llama2c.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = ft::parse_llama2c(std::as_bytes(std::span(data, size)));
  if (!file.ok() || file->config.num_layers > 64) return 0;
  const auto graph = ft::import_llama2c(*file, {.batch = 1, .seq_len = 1});
  FT_CHECK(graph.ok() || graph.status().code() == ft::Code::kInvalidInput);
  return 0;
}
