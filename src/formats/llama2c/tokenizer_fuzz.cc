// libFuzzer entry: any bytes give a tokenizer or a Status, and what parses must
// encode any text into tokens of its vocabulary. The first byte says how many
// tokens there are beyond those of single bytes.
#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/llama2c/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  const auto tokenizer = ft::Llama2cTokenizer::parse(bytes, 259 + data[0]);
  if (!tokenizer.ok()) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::vector<int> ids = tokenizer->encode(text.substr(0, 4096));
  for (const int id : ids)
    FT_CHECK(id >= 0 && static_cast<size_t>(id) < tokenizer->vocab_size());
  (void)tokenizer->decode(ids);
  return 0;
}
