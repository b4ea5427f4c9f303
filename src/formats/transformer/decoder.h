// The graph of a Llama-architecture decoder, whatever file its weights are in.
//
// Modules carry Hugging Face's names (`model.layers.0.self_attn.q_proj`), so
// that adapters are exchanged with PEFT without renaming. Every projection is a
// fully_connected on [tokens, features] that methods can adapt. Not for reading
// files (see llama2c/ and huggingface/).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "ir/graph.h"

namespace ft {

struct DecoderConfig {
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0;
  int64_t num_layers = 0, num_heads = 0, num_kv_heads = 0, head_dim = 0;
  int64_t max_seq_len = 0;
  double rms_norm_eps = 1e-5, rope_theta = 10000;
  bool rope_half = true;  // pairs (i, i + d/2); false: (2i, 2i + 1)
  bool attention_bias = false, mlp_bias = false;
  bool tied_head = false;  // the head's weight is the embedding
};

// Samples in one run and tokens in each; fixed when compiling.
struct SequenceShape {
  int batch = 1;
  int seq_len = 0;  // 0: the model's longest, at most kDefaultSeqLen
};
constexpr int kDefaultSeqLen = 128;

// The constant of this name and shape, added to the graph as float32; fails if
// the file has it not or in another shape.
using WeightSource = std::function<Result<ValueId>(
    Graph& graph, const std::string& name, const Shape& shape)>;

// The number of tokens that `shape` asks for. Fails beyond `max_seq_len`.
Result<int> resolve_seq_len(const SequenceShape& shape, int64_t max_seq_len);

// input_ids int32[batch, seq_len] -> logits float32[batch * seq_len,
// vocab_size]. Fails on sizes that contradict each other.
Result<Graph> build_decoder(const DecoderConfig& config,
                            const SequenceShape& shape,
                            const WeightSource& weight);

}  // namespace ft
