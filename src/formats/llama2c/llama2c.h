// Checkpoints of llama2.c in its first format (float32, no magic number).
//
// Layout: seven int32 (dim, hidden_dim, n_layers, n_heads, n_kv_heads,
// vocab_size, seq_len; a negative vocab_size says that the head has a weight of
// its own), then float32: token embedding; of all layers in turn rms_att, wq,
// wk, wv, wo, rms_ffn, w1 (gate), w2 (down), w3 (up); rms_final; two unused
// tables [seq_len, head_dim / 2]; the head's weight unless shared. Constants
// are views into the file.
//
// Rotary pairs are neighbours (2i, 2i + 1) in this format, where Hugging Face
// has (i, i + d/2). The file's own order is kept, so lora_B of q_proj and
// k_proj needs its rows permuted on the way to or from a converted model. Not
// for the quantized formats (versions 1 and 2 start with the magic "ak42").
#pragma once

#include <span>
#include <string>

#include "formats/transformer/decoder.h"

namespace ft {

struct Llama2cFile {
  DecoderConfig config;
  std::span<const std::byte> bytes;
};

// Any bytes give a file or one sentence.
Result<Llama2cFile> parse_llama2c(std::span<const std::byte> bytes);

// input_ids int32[batch, seq_len] -> logits; see build_decoder(). The bytes
// must outlive the graph and be aligned to 4.
Result<Graph> import_llama2c(const Llama2cFile& file,
                             const SequenceShape& shape);

}  // namespace ft
