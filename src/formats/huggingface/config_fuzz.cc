// libFuzzer entry: any text gives a config or a Status, as a config.json and as
// an index of shards; a graph without weights is refused, never a crash.
#include <cstddef>
#include <cstdint>

#include "formats/huggingface/huggingface.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)ft::parse_shard_index(text);
  const auto config = ft::parse_huggingface_config(text);
  if (!config.ok()) return 0;
  FT_CHECK(!ft::import_huggingface(*config, {}, {}).ok());
  return 0;
}
