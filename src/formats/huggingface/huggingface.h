// Import of a Hugging Face model folder: config.json with model.safetensors, or
// with model.safetensors.index.json and the shards that it names.
//
// float32 weights are views into the mapped files; float16 and bfloat16 ones
// become float32 of our own, twice the file's size. Every tensor of the files
// is used, or known to be without influence (tables that are computed, the
// heads of other tasks), or refused by name.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "formats/huggingface/config.h"
#include "formats/safetensors/safetensors.h"

namespace ft {

struct HuggingFaceModel {
  Graph graph;         // keeps the files mapped
  std::string sha256;  // of the list of the files and their own sums
  size_t file_bytes = 0;
  std::string description;
};

// Fails with one sentence naming file, key or tensor.
Result<HuggingFaceModel> open_huggingface(const std::string& folder,
                                          const SequenceShape& shape);

// The names of the folder's files with weights, sorted.
Result<std::vector<std::string>> huggingface_weight_files(
    const std::string& folder);

// The graph alone. The tensors' bytes must outlive it.
Result<Graph> import_huggingface(const HuggingFaceConfig& config,
                                 std::span<const Safetensors> files,
                                 const SequenceShape& shape);

}  // namespace ft
