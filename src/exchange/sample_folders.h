// For tests and the fuzzer: folders as PEFT and AdapterHub write them, one of
// each kind that is read.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace ft {

struct SampleFolder {
  std::string config;              // adapter_config.json
  std::vector<std::byte> tensors;  // safetensors
};
std::vector<SampleFolder> sample_folders();

// Reads a folder as load_any_adapter() does and, what was read, writes it
// again. True if it was one; a refusal has a message of one sentence.
bool read_and_write(const std::string& config,
                    std::span<const std::byte> tensors);

}  // namespace ft
