// The layers that decoder and encoder graphs are made of.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "formats/transformer/decoder.h"
#include "ops/append.h"

namespace ft {

struct NamedSize {
  const char* name;
  int64_t value;
};
// Sizes of a model must lie between 1 and 2^24 (token ids pass through
// float32 samples).
Status check_transformer_sizes(std::initializer_list<NamedSize> sizes);

// Adds layers to a graph with one input, input_ids int32[batch, seq_len].
// Activations are [batch * seq_len, features].
class TransformerLayers {
 public:
  TransformerLayers(int batch, int seq_len, const WeightSource& source);

  Graph& graph() { return graph_; }
  Graph take_graph() { return std::move(graph_); }
  ValueId input_ids() const { return input_ids_; }

  Result<ValueId> weight(const std::string& name, const Shape& shape) {
    return source_(graph_, name, shape);
  }
  // One output, the first one.
  Result<ValueId> append(const OpDef& op, const std::string& name,
                         std::vector<ValueId> inputs, Attrs attrs = {});
  // y = x w^T + bias with w = `name`.weight [features, columns of x].
  Result<ValueId> linear(const std::string& name, ValueId x, int64_t features,
                         bool bias);
  Result<ValueId> add(const std::string& name, ValueId x, ValueId y);
  // [batch, seq_len, features] as [batch * seq_len, features].
  Result<ValueId> rows(const std::string& name, ValueId x);
  // inputs: q, k, v and maybe key_ids.
  Result<ValueId> attention(const std::string& name,
                            std::vector<ValueId> inputs, Attrs attrs);

 private:
  Graph graph_;
  const WeightSource& source_;
  int64_t batch_, seq_len_;
  ValueId input_ids_;
};

}  // namespace ft
