// Small adapter files for tests of the store.
#pragma once

#include <string>
#include <vector>

#include "adapters/adapter_file.h"
#include "base/random.h"

namespace ft::store {

inline std::string base_digest(char digit) { return std::string(64, digit); }

// Another one for each `number`: `floats` values and some metadata.
inline std::vector<std::byte> test_adapter(uint64_t number, int64_t floats = 64,
                                           Metadata metadata = {}) {
  const Random random(number, "test adapter");
  Adapter adapter{.metadata = {{"base_sha256", base_digest('b')},
                               {"method", "lora"},
                               {"accuracy", "0.875"}},
                  .tensors = {}};
  for (auto& [key, value] : metadata) adapter.metadata[key] = value;
  AdapterEntry entry{.name = "base_model.model.fc.lora_A.weight",
                     .shape = {floats},
                     .values = {}};
  for (uint64_t i = 0; i < static_cast<uint64_t>(floats); ++i)
    entry.values.push_back(random.normal(i));
  adapter.tensors.push_back(std::move(entry));
  return encode_adapter(adapter).value();
}

}  // namespace ft::store
