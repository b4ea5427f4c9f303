// libFuzzer entry: any adapter_config.json beside the tensors of each kind of
// folder gives an adapter or a Status. An object without a type is taken as
// changes of the kind's own configuration; after a 0 byte stand other tensors.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "exchange/sample_folders.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<ft::SampleFolder> kinds = ft::sample_folders();
  if (size == 0) return 0;
  const ft::SampleFolder& kind = kinds[data[0] % kinds.size()];
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t end = std::min(text.find('\0'), text.size());
  std::span<const std::byte> tensors = kind.tensors;
  if (end < text.size())
    tensors = std::as_bytes(std::span(text)).subspan(end + 1);
  std::string config = text.substr(0, end);
  (void)ft::read_and_write(config, tensors);
  const auto changes = nlohmann::ordered_json::parse(config, nullptr, false);
  if (!changes.is_object() || config.size() > 4096) return 0;
  auto whole = nlohmann::ordered_json::parse(kind.config);
  for (const auto& [key, value] : changes.items()) {
    if (whole.contains("config") && whole["config"].contains(key))
      whole["config"][key] = value;
    else
      whole[key] = value;
  }
  (void)ft::read_and_write(whole.dump(), tensors);
  return 0;
}
