#include "methods/virtual_tokens.h"

#include <fmt/format.h>

#include <set>

#include "methods/head.h"
#include "methods/rewrite.h"
#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

using Ints = std::vector<int64_t>;

Result<ValueId> reshaped(Graph& graph, ValueId x, Ints dims,
                         const std::string& name) {
  return append(graph, ops::kReshape, {x}, {{"shape", std::move(dims)}},
                {.name = name});
}

// The learned positions of which `value` [1, len, features] holds the first.
ValueId position_table(const Graph& graph, ValueId value) {
  if (value == kNone || graph.value(value).kind != ValueKind::kConstant)
    return kNone;
  return graph.find_value(graph.value(value).name + ".all");
}

// Rows [first, first + count) of a table of positions, as a view.
Result<ValueId> position_rows(Graph& graph, ValueId table, int64_t first,
                              int64_t count) {
  const Value& all = graph.value(table);
  const int64_t length = all.type.shape[1], features = all.type.shape[2];
  if (first + count > length)
    return usage_error(
        fmt::format("{} tokens, virtual ones among them: the model takes 1 to "
                    "{}; lower --seq-len or --num-virtual-tokens",
                    first + count, length));
  const size_t row = static_cast<size_t>(features) * sizeof(float);
  const auto data = all.data.subspan(static_cast<size_t>(first) * row,
                                     static_cast<size_t>(count) * row);
  return graph.add_constant(fmt::format("{}/from{}", all.name, first),
                            real_type({1, count, features}), data);
}

// Where a graph's rows have become more: attributes and types that follow.
class Lengthening {
 public:
  Lengthening(Graph& graph, const TokenModel& model, int64_t n)
      : graph_(graph),
        batch_(model.batch),
        old_len_(model.seq_len),
        new_len_(model.seq_len + n) {}

  Status run(ValueId from) {
    changed_.insert(from);
    for (NodeId n = 0; n < graph_.num_nodes(); ++n) {
      if (!reads_changed(graph_.node(n))) continue;
      FT_TRY_STATUS(fit(n));
      FT_TRY_STATUS(renew(n));
    }
    return ok_status();
  }

  // The types alone, behind a value that has changed.
  Status renew_behind(ValueId from) {
    changed_ = {from};
    for (NodeId n = 0; n < graph_.num_nodes(); ++n)
      if (reads_changed(graph_.node(n))) FT_TRY_STATUS(renew(n));
    return ok_status();
  }

 private:
  bool reads_changed(const Node& node) const {
    for (const ValueId id : node.inputs)
      if (changed_.contains(id)) return true;
    return false;
  }

  Status renew(NodeId n) {
    const Node& node = graph_.node(n);
    FT_TRY(const auto types, node.op->infer(view_of(graph_, node)));
    for (size_t i = 0; i < types.size(); ++i) {
      TensorType& type = graph_.value(node.outputs[i]).type;
      if (type.shape == types[i].shape) continue;
      type.shape = types[i].shape;
      changed_.insert(node.outputs[i]);
    }
    return ok_status();
  }

  // What a node says about the length of the sequence.
  Status fit(NodeId n) {
    Node& node = graph_.node(n);
    if (node.op == &ops::kRope) node.attrs.set("seq_len", new_len_);
    if (node.op == &ops::kReshape) {
      Ints dims = node.attrs.get_ints("shape");
      if (dims.size() == 2 && dims[0] == batch_ * old_len_)
        dims[0] = batch_ * new_len_;
      else if (dims.size() > 2 && dims[0] == batch_ && dims[1] == old_len_)
        dims[1] = new_len_;
      node.attrs.set("shape", dims);
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId table = position_table(graph_, node.inputs[i]);
      if (table == kNone) continue;
      FT_TRY(const ValueId rows, position_rows(graph_, table, 0, new_len_));
      graph_.node(n).inputs[i] = rows;
    }
    return ok_status();
  }

  Graph& graph_;
  const int64_t batch_, old_len_, new_len_;
  std::set<ValueId> changed_;
};

bool answers_every_token(const Graph& graph, int64_t rows) {
  return graph.value(graph.outputs[0]).type.shape[0] == rows;
}

}  // namespace

constinit const SettingDef kNumVirtualTokens = {
    .name = "num_virtual_tokens",
    .kind = SettingDef::Kind::kInt,
    .summary = "trained rows in front of the tokens of every sample",
    .preset = "20",
    .low = 1,
    .high = 65536};

Result<TokenModel> token_model(const Graph& graph, std::string_view method) {
  for (ValueId v = 0; v < graph.num_values(); ++v)
    if (graph.value(v).kind == ValueKind::kParam &&
        graph.value(v).name.ends_with(kPromptEmbeddings))
      return usage_error(fmt::format(
          "method {}: virtual tokens of another adapter stand in front of this "
          "model already; give one of the two only",
          method));
  TokenModel model;
  for (NodeId n = 0; n < graph.num_nodes() && !graph.inputs.empty(); ++n) {
    const Node& node = graph.node(n);
    if (node.op != &ops::kGather || node.inputs[1] != graph.inputs[0]) continue;
    const Shape& shape = graph.value(node.outputs[0]).type.shape;
    if (shape.rank() != 3) break;
    return TokenModel{.ids = node.inputs[1],
                      .table = node.inputs[0],
                      .embedded = node.outputs[0],
                      .batch = shape[0],
                      .seq_len = shape[1],
                      .features = shape[2]};
  }
  return usage_error(fmt::format(
      "method {} puts virtual tokens in front of a sequence of tokens, but "
      "this model reads none",
      method));
}

std::vector<NodeId> attentions(const Graph& graph) {
  std::vector<NodeId> nodes;
  for (NodeId n = 0; n < graph.num_nodes(); ++n)
    if (graph.node(n).op == &ops::kAttention) nodes.push_back(n);
  return nodes;
}

Result<ValueId> prepend_rows(Graph& graph, ValueId rows, ValueId x,
                             int64_t batch, const std::string& name) {
  const Shape shape = graph.value(x).type.shape;
  const int64_t n = graph.value(rows).type.shape[0], f = shape.back();
  const int64_t len = shape.num_elements() / (batch * f);
  FT_TRY(ValueId front, reshaped(graph, rows, {1, n, f}, name + "/rows"));
  if (batch > 1) {
    FT_TRY(front, append(graph, ops::kBroadcastTo, {front},
                         {{"shape", Ints{batch, n, f}}},
                         {.name = name + "/of_every_sample"}));
  }
  if (shape.rank() == 2) {
    FT_TRY(x, reshaped(graph, x, {batch, len, f}, name + "/samples"));
  }
  FT_TRY(ValueId all, append(graph, ops::kConcat, {front, x}, {{"axis", 1}},
                             {.name = name}));
  if (shape.rank() == 3) return all;
  return reshaped(graph, all, {batch * (n + len), f}, name + "/joined");
}

Status prepend_key_ids(Graph& graph, const TokenModel& model, int64_t n) {
  for (size_t i = 0; i < attentions(graph).size(); ++i) {
    const NodeId at = attentions(graph)[i];
    const Node node = graph.node(at);
    if (node.inputs.size() < 4 || node.inputs[3] == kNone) continue;
    const int32_t seen = node.attrs.get_i("pad") == 0 ? 1 : 0;
    const TensorType type{
        .dtype = DType::kS32, .shape = {model.batch, n}, .quant = {}};
    const ValueId front = graph.add_owned(
        ValueKind::kConstant, node.name + "/virtual_ids", type,
        std::vector<int32_t>(static_cast<size_t>(model.batch * n), seen));
    const NodeId first_new = graph.num_nodes();
    FT_TRY(const ValueId ids,
           append(graph, ops::kConcat, {front, node.inputs[3]}, {{"axis", 1}},
                  {.name = node.name + "/key_ids"}));
    set_input(graph, at, 3, ids);
    move_in_front(graph, first_new, at);
  }
  return ok_status();
}

Status shift_positions(Graph& graph, const TokenModel& model, int64_t n) {
  for (NodeId at = 0; at < graph.num_nodes(); ++at) {
    Node& node = graph.node(at);
    if (node.op == &ops::kRope)
      node.attrs.set("start", node.attrs.get_int("start") + n);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId table = position_table(graph, graph.node(at).inputs[i]);
      if (table == kNone) continue;
      FT_TRY(const ValueId rows, position_rows(graph, table, n, model.seq_len));
      graph.node(at).inputs[i] = rows;
    }
  }
  return ok_status();
}

Status lengthen(Graph& graph, const TokenModel& model, ValueId from,
                int64_t n) {
  return Lengthening(graph, model, n).run(from);
}

Status drop_leading_answers(Graph& graph, const TokenModel& model, int64_t n) {
  const int64_t b = model.batch, len = model.seq_len;
  if (!answers_every_token(graph, b * (len + n))) return ok_status();
  const NodeId head = find_head(graph).head;
  const ValueId from =
      head == kNone ? graph.outputs[0] : graph.node(head).inputs[0];
  const int64_t f = graph.value(from).type.shape.back();
  const std::string name = graph.value(from).name + "/own_tokens";
  const NodeId first_new = graph.num_nodes();
  FT_TRY(ValueId cut,
         reshaped(graph, from, {b, len + n, f}, name + "/samples"));
  FT_TRY(cut, append(graph, ops::kSlice, {cut},
                     {{"begin", Ints{0, n, 0}}, {"size", Ints{b, len, f}}},
                     {.name = name}));
  FT_TRY(cut, reshaped(graph, cut, {b * len, f}, name + "/rows"));
  insert_behind(graph, first_new, from, cut);
  return Lengthening(graph, model, n).renew_behind(cut);
}

void describe_virtual_tokens(const Graph& graph, const TokenModel& model,
                             AdaptedGraph& adapted) {
  const std::vector<NodeId> layers = attentions(graph);
  const Attrs none;
  const Attrs& attrs = layers.empty() ? none : graph.node(layers[0]).attrs;
  const bool tokens = answers_every_token(graph, model.batch * model.seq_len);
  adapted.metadata["task_type"] = !tokens ? "SEQ_CLS"
                                  : attrs.get_int("causal") != 0
                                      ? "CAUSAL_LM"
                                      : "FEATURE_EXTRACTION";
  adapted.metadata["token_dim"] = fmt::format("{}", model.features);
  adapted.metadata["num_layers"] = fmt::format("{}", layers.size());
  adapted.metadata["num_attention_heads"] =
      fmt::format("{}", attrs.get_int("heads", 1));
}

}  // namespace ft
