// The graph of a BERT-architecture encoder, under Hugging Face's module names.
//
// Keys whose id is the padding token are seen by no query, so the attention
// mask is that of a tokenizer; all tokens are of type 0. Not for reading files
// (see huggingface/).
#pragma once

#include <string>

#include "formats/transformer/decoder.h"

namespace ft {

enum class EncoderTask {
  kHidden,          // BertModel: the last hidden states
  kClassification,  // BertForSequenceClassification
  kMaskedLm,        // BertForMaskedLM
};

struct EncoderConfig {
  EncoderTask task = EncoderTask::kHidden;
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0;
  int64_t num_layers = 0, num_heads = 0, max_seq_len = 0;
  int64_t type_vocab_size = 2, pad_token_id = 0, num_labels = 2;
  double layer_norm_eps = 1e-12;
  std::string act = "gelu";  // gelu_tanh and relu too
};

// input_ids int32[batch, seq_len] -> hidden states float32[batch * seq_len,
// hidden_size], logits [batch, num_labels] or [batch * seq_len, vocab_size].
Result<Graph> build_encoder(const EncoderConfig& config,
                            const SequenceShape& shape,
                            const WeightSource& weight);

}  // namespace ft
