// config.json of a Hugging Face model folder: the Llama and BERT architectures.
//
// Every key is either honoured, known to have no influence on what the model
// computes (dropout is not applied to a base model, as in model.eval()), or
// refused by name.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "formats/transformer/decoder.h"
#include "formats/transformer/encoder.h"

namespace ft {

using HuggingFaceConfig = std::variant<DecoderConfig, EncoderConfig>;

// Any text gives a config or one sentence naming the key.
Result<HuggingFaceConfig> parse_huggingface_config(std::string_view text);

// The files that a model.safetensors.index.json names, each once, sorted.
// Refuses names with a folder in them.
Result<std::vector<std::string>> parse_shard_index(std::string_view text);

}  // namespace ft
