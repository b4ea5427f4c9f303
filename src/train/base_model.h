// A base model, whatever file it comes from: a .tflite file, a llama2.c
// checkpoint (.bin, with its tokenizer tok<vocab>.bin or tokenizer.bin beside
// it) or a Hugging Face folder.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/result.h"
#include "formats/transformer/tokenizer.h"
#include "ir/graph.h"

namespace ft {

struct BaseModel {
  Graph graph;
  std::string sha256;  // of the file
  size_t file_bytes = 0;
  std::string description;
  std::shared_ptr<const Tokenizer> tokenizer;  // null: none
};

struct BaseModelOptions {
  bool dequantize = false;  // float activations and weights of an int8 model
  // As deployed where float activations meet int8 weights; see ImportOptions.
  bool dynamic_range = false;
  int batch = 0;    // samples in one run; 0: as in the file, else 1
  int seq_len = 0;  // tokens in a sample; 0: see SequenceShape
};

// Maps the file; the graph keeps the mapping alive. Fails with one sentence
// naming the file.
Result<BaseModel> open_base_model(const std::string& path,
                                  const BaseModelOptions& options = {});

// Whether the model reads token ids, int32[batch, seq_len].
bool takes_tokens(const Graph& graph);

}  // namespace ft
