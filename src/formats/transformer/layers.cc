#include "formats/transformer/layers.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/all_ops.h"

namespace ft {

Status check_transformer_sizes(std::initializer_list<NamedSize> sizes) {
  constexpr int64_t kMax = 1 << 24;
  for (const NamedSize& size : sizes)
    if (size.value < 1 || size.value > kMax)
      return invalid_input(
          fmt::format("the {} is {}, must lie between 1 and {}", size.name,
                      size.value, kMax));
  return ok_status();
}

Result<int> resolve_seq_len(const SequenceShape& shape, int64_t max_seq_len) {
  if (shape.seq_len < 0 || shape.seq_len > max_seq_len)
    return usage_error(
        fmt::format("sequences of {} tokens: the model takes 1 to {}",
                    shape.seq_len, max_seq_len));
  if (shape.seq_len > 0) return shape.seq_len;
  return static_cast<int>(std::min<int64_t>(max_seq_len, kDefaultSeqLen));
}

TransformerLayers::TransformerLayers(int batch, int seq_len,
                                     const WeightSource& source)
    : source_(source),
      batch_(std::max(batch, 1)),
      seq_len_(seq_len),
      input_ids_(graph_.add_input(
          "input_ids",
          {.dtype = DType::kS32, .shape = {batch_, seq_len_}, .quant = {}})) {}

Result<ValueId> TransformerLayers::append(const OpDef& op,
                                          const std::string& name,
                                          std::vector<ValueId> inputs,
                                          Attrs attrs) {
  FT_TRY(const auto outputs, append_node(graph_, op, std::move(inputs),
                                         std::move(attrs), {.name = name}));
  return outputs[0];
}

Result<ValueId> TransformerLayers::linear(const std::string& name, ValueId x,
                                          int64_t features, bool bias) {
  const int64_t columns = graph_.value(x).type.shape.back();
  FT_TRY(const ValueId w, weight(name + ".weight", {features, columns}));
  std::vector<ValueId> inputs{x, w};
  if (bias) {
    FT_TRY(const ValueId b, weight(name + ".bias", {features}));
    inputs.push_back(b);
  }
  return append(ops::kFullyConnected, name, std::move(inputs));
}

Result<ValueId> TransformerLayers::add(const std::string& name, ValueId x,
                                       ValueId y) {
  return append(ops::kBinary, name, {x, y}, {{"kind", "add"}});
}

Result<ValueId> TransformerLayers::rows(const std::string& name, ValueId x) {
  const int64_t features = graph_.value(x).type.shape.back();
  return append(ops::kReshape, name, {x},
                {{"shape", std::vector<int64_t>{batch_ * seq_len_, features}}});
}

Result<ValueId> TransformerLayers::attention(const std::string& name,
                                             std::vector<ValueId> inputs,
                                             Attrs attrs) {
  attrs.set("batch", batch_);
  return append(ops::kAttention, name, std::move(inputs), std::move(attrs));
}

}  // namespace ft
