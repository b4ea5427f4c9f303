#include "formats/transformer/encoder.h"

#include <fmt/format.h>

#include "formats/transformer/layers.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

struct Encoder {
  const EncoderConfig& c;
  TransformerLayers& t;
  int64_t batch, seq_len;
  std::string base = {};  // "bert." below a head
  ValueId words = kNone;  // the embedding table

  Result<ValueId> norm(const std::string& name, ValueId x) {
    FT_TRY(const ValueId gamma, t.weight(name + ".weight", {c.hidden_size}));
    FT_TRY(const ValueId beta, t.weight(name + ".bias", {c.hidden_size}));
    return t.append(ops::kLayerNorm, name, {x, gamma, beta},
                    {{"eps", c.layer_norm_eps}});
  }

  Result<ValueId> act(const std::string& name, ValueId x) {
    Attrs attrs{{"kind", c.act == "relu" ? "relu" : "gelu"}};
    if (c.act == "gelu_tanh") attrs.set("approximate", int64_t{1});
    return t.append(ops::kUnary, name, {x}, attrs);
  }

  // What every sample adds to its words: the first seq_len positions, and the
  // type 0. All positions stand beside it, named `<name>.all`, for methods that
  // move a sequence or make it longer.
  Result<ValueId> positions() {
    const std::string name = base + "embeddings.";
    FT_TRY(const ValueId table, t.weight(name + "position_embeddings.weight",
                                         {c.max_seq_len, c.hidden_size}));
    FT_TRY(const ValueId types, t.weight(name + "token_type_embeddings.weight",
                                         {c.type_vocab_size, c.hidden_size}));
    const auto position = data_of<float>(t.graph().value(table));
    const auto type = data_of<float>(t.graph().value(types));
    const auto columns = static_cast<size_t>(c.hidden_size);
    std::vector<float> sum(position.size());
    for (size_t i = 0; i < sum.size(); ++i)
      sum[i] = type[i % columns] + position[i];
    TensorType rows{.dtype = DType::kF32,
                    .shape = {1, c.max_seq_len, c.hidden_size},
                    .quant = {}};
    const ValueId all = t.graph().add_owned(ValueKind::kConstant,
                                            name + "positions.all", rows, sum);
    rows.shape.set(1, seq_len);
    const auto bytes = t.graph().value(all).data;
    return t.graph().add_constant(
        name + "positions", rows,
        bytes.first(static_cast<size_t>(seq_len) * columns * sizeof(float)));
  }

  Result<ValueId> embeddings() {
    const std::string name = base + "embeddings";
    FT_TRY(words, t.weight(name + ".word_embeddings.weight",
                           {c.vocab_size, c.hidden_size}));
    FT_TRY(ValueId x, t.append(ops::kGather, name + ".word_embeddings",
                               {words, t.input_ids()}));
    FT_TRY(const ValueId added, positions());
    FT_TRY(x, t.add(name + ".sum", x, added));
    FT_TRY(x, t.rows(name + ".rows", x));
    return norm(name + ".LayerNorm", x);
  }

  Result<ValueId> attention(const std::string& name, ValueId x) {
    FT_TRY(const ValueId q,
           t.linear(name + ".self.query", x, c.hidden_size, true));
    FT_TRY(const ValueId k,
           t.linear(name + ".self.key", x, c.hidden_size, true));
    FT_TRY(const ValueId v,
           t.linear(name + ".self.value", x, c.hidden_size, true));
    FT_TRY(const ValueId y,
           t.attention(name + ".self", {q, k, v, t.input_ids()},
                       {{"heads", c.num_heads}, {"pad", c.pad_token_id}}));
    FT_TRY(const ValueId out,
           t.linear(name + ".output.dense", y, c.hidden_size, true));
    FT_TRY(const ValueId sum, t.add(name + ".output.residual", out, x));
    return norm(name + ".output.LayerNorm", sum);
  }

  Result<ValueId> layer(const std::string& name, ValueId x) {
    FT_TRY(const ValueId attended, attention(name + ".attention", x));
    FT_TRY(ValueId y, t.linear(name + ".intermediate.dense", attended,
                               c.intermediate_size, true));
    FT_TRY(y, act(name + ".intermediate.intermediate_act_fn", y));
    FT_TRY(y, t.linear(name + ".output.dense", y, c.hidden_size, true));
    FT_TRY(y, t.add(name + ".output.residual", y, attended));
    return norm(name + ".output.LayerNorm", y);
  }

  // The first token of each sample, through the pooler and the classifier.
  Result<ValueId> classify(ValueId x) {
    FT_TRY(x, t.append(ops::kReshape, base + "pooler.sequences", {x},
                       {{"shape", std::vector<int64_t>{batch, seq_len,
                                                       c.hidden_size}}}));
    FT_TRY(x,
           t.append(ops::kSlice, base + "pooler.first", {x},
                    {{"begin", std::vector<int64_t>{0, 0, 0}},
                     {"size", std::vector<int64_t>{batch, 1, c.hidden_size}}}));
    FT_TRY(x,
           t.append(ops::kReshape, base + "pooler.rows", {x},
                    {{"shape", std::vector<int64_t>{batch, c.hidden_size}}}));
    FT_TRY(x, t.linear(base + "pooler.dense", x, c.hidden_size, true));
    FT_TRY(x, t.append(ops::kUnary, base + "pooler.activation", {x},
                       {{"kind", "tanh"}}));
    return t.linear("classifier", x, c.num_labels, true);
  }

  Result<ValueId> predict_words(ValueId x) {
    const std::string name = "cls.predictions";
    FT_TRY(x, t.linear(name + ".transform.dense", x, c.hidden_size, true));
    FT_TRY(x, act(name + ".transform.transform_act_fn", x));
    FT_TRY(x, norm(name + ".transform.LayerNorm", x));
    FT_TRY(const ValueId bias, t.weight(name + ".bias", {c.vocab_size}));
    return t.append(ops::kFullyConnected, name + ".decoder", {x, words, bias});
  }

  Status run() {
    if (c.task != EncoderTask::kHidden) base = "bert.";
    FT_TRY(ValueId x, embeddings());
    for (int64_t i = 0; i < c.num_layers; ++i) {
      FT_TRY(x, layer(fmt::format("{}encoder.layer.{}", base, i), x));
    }
    if (c.task == EncoderTask::kClassification) {
      FT_TRY(x, classify(x));
    }
    if (c.task == EncoderTask::kMaskedLm) {
      FT_TRY(x, predict_words(x));
    }
    t.graph().outputs = {x};
    return ok_status();
  }
};

Status check_config(const EncoderConfig& c) {
  FT_TRY_STATUS(
      check_transformer_sizes({{"vocabulary size", c.vocab_size},
                               {"hidden size", c.hidden_size},
                               {"intermediate size", c.intermediate_size},
                               {"number of layers", c.num_layers},
                               {"number of heads", c.num_heads},
                               {"number of token types", c.type_vocab_size},
                               {"number of labels", c.num_labels},
                               {"longest sequence", c.max_seq_len}}));
  if (c.hidden_size % c.num_heads == 0) return ok_status();
  return invalid_input(fmt::format("{} heads do not divide the hidden size {}",
                                   c.num_heads, c.hidden_size));
}

}  // namespace

Result<Graph> build_encoder(const EncoderConfig& config,
                            const SequenceShape& shape,
                            const WeightSource& weight) {
  FT_TRY_STATUS(check_config(config));
  FT_TRY(const int seq_len, resolve_seq_len(shape, config.max_seq_len));
  TransformerLayers layers(shape.batch, seq_len, weight);
  const int64_t batch = layers.graph().value(layers.input_ids()).type.shape[0];
  FT_TRY_STATUS((Encoder{config, layers, batch, seq_len}.run()));
  return layers.take_graph();
}

}  // namespace ft
