// Adapter tensors as a file stores them: float32, 16-bit floats, or integers
// with steps. Read by tensor_reader.h.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "adapters/adapter_file.h"
#include "formats/safetensors/safetensors.h"

namespace ft {

// Names of the tensors that hold all steps, and of the metadata.
inline constexpr const char* kScaleTensor = "quantizer.scale";
inline constexpr const char* kZeroPointTensor = "quantizer.zero_point";
inline constexpr const char* kQuantizerKey = "quantizer";
inline constexpr const char* kPackedShapesKey = "packed_shapes";

// The file's dtype of values with this quantizer, and whether a byte holds two.
DType stored_dtype(const Quantizer& quantizer);
bool is_packed(const Quantizer& quantizer);

// What write_safetensors() takes; owns the bytes.
struct StoredTensors {
  std::vector<SafetensorsEntry> entries;
  SafetensorsMetadata metadata;  // quantizer, packed_shapes
  std::vector<std::vector<std::byte>> storage;
};

// Fails (an error of ours) on a value that its quantizer cannot express and on
// tensors with different integer quantizers.
Result<StoredTensors> store_tensors(std::span<const AdapterEntry> tensors);

}  // namespace ft
