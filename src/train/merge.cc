#include "train/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "formats/tflite/export.h"
#include "ir/real_values.h"
#include "methods/head.h"
#include "ops/all_ops.h"
#include "quant/weights.h"

namespace ft {
namespace {

template <class T>
std::vector<std::byte> to_bytes(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

const Node* find_module(const Graph& graph, const std::string& name) {
  for (NodeId n = 0; n < graph.num_nodes(); ++n)
    if (graph.node(n).name == name) return &graph.node(n);
  return nullptr;
}

bool is_head(const Graph& graph, const std::string& module) {
  const HeadSite site = find_head(graph);
  return site.head != kNone && graph.node(site.head).name == module;
}

// Collects the edits of one file.
class Merger {
 public:
  Merger(const TfliteModel& base, const MergeInput& input)
      : base_(base), graph_(base.graph), input_(input) {}

  Status add(const MergedModule& module) {
    const Node* node = find_module(graph_, module.module);
    if (node == nullptr)
      return internal_error("merge: no module '" + module.module + "'");
    const Shape old = graph_.value(node->inputs[1]).type.shape;
    Shape shape = old;
    const auto per_row = old.num_elements() / std::max<int64_t>(old[0], 1);
    const auto count = static_cast<int64_t>(module.weight.size());
    if (count > 0 && count != old.num_elements()) shape.set(0, count / per_row);
    // A trained head has other classes, or at least other logits.
    if (count > 0 && !module.bias.empty() && is_new_head(module.module))
      FT_TRY_STATUS(resize_answer(shape[0]));
    return graph_.value(node->inputs[0]).type.dtype == DType::kS8
               ? add_int8(module, *node, shape)
               : add_float(module, *node, shape);
  }

  // An operator whose weights were joined must have all of them in float32 once
  // one of them is: the others follow with the values that they had.
  Status finish() {
    std::set<int> operators;
    for (NodeId n = 0; n < graph_.num_nodes(); ++n)
      for (const ValueId id : graph_.node(n).inputs)
        if (base_.joined_tensors.contains(id) && edited_.contains(id))
          operators.insert(base_.operator_of(n));
    for (NodeId n = 0; n < graph_.num_nodes(); ++n) {
      if (!operators.contains(base_.operator_of(n))) continue;
      const Node& node = graph_.node(n);
      for (const ValueId id : node.inputs)
        if (base_.joined_tensors.contains(id) && !edited_.contains(id))
          FT_TRY_STATUS(edit_float(id, node, graph_.value(id).type.shape,
                                   real_values(graph_.value(id))));
    }
    return ok_status();
  }

  TfliteEdits edits;

 private:
  // A head that the adapter brings; one that it only scales keeps its
  // quantizer.
  bool is_new_head(const std::string& module) const {
    return is_head(graph_, module) &&
           std::ranges::any_of(input_.adapters, [&](const AdapterPart& part) {
             return part.tensors.contains(peft_key(module, "weight"));
           });
  }

  ValueId bias_of(const Node& node) const {
    return node.inputs.size() > 2 ? node.inputs[2] : kNone;
  }

  Result<int> tensor_of(ValueId id, const Node& node) const {
    const int tensor = id == kNone ? kNone : base_.tensor_of(id);
    if (tensor == kNone)
      return invalid_input(fmt::format(
          "merge: '{}' has no tensor of its own in the file", node.name));
    return tensor;
  }

  // The tensors behind a value: one, or those that were joined, each with an
  // equal share of `values`.
  Status edit_float(ValueId id, const Node& node, Shape shape,
                    const std::vector<float>& values) {
    const auto joined = base_.joined_tensors.find(id);
    std::vector<int> tensors;
    if (joined == base_.joined_tensors.end()) {
      FT_TRY(const int tensor, tensor_of(id, node));
      tensors.push_back(tensor);
    } else {
      tensors = joined->second;
    }
    const size_t each = values.size() / tensors.size();
    shape.set(0, shape[0] / static_cast<int64_t>(tensors.size()));
    for (size_t i = 0; i < tensors.size(); ++i) {
      const auto part =
          std::as_bytes(std::span(values).subspan(i * each, each));
      edits.tensors.push_back(
          {.tensor_index = tensors[i],
           .shape = shape,
           .data = std::vector<std::byte>(part.begin(), part.end()),
           .dtype = DType::kF32});
    }
    edited_.insert(id);
    return ok_status();
  }

  Status add_float(const MergedModule& module, const Node& node,
                   const Shape& shape) {
    if (!module.weight.empty())
      FT_TRY_STATUS(edit_float(node.inputs[1], node, shape, module.weight));
    if (module.bias.empty()) return ok_status();
    return edit_float(bias_of(node), node,
                      {static_cast<int64_t>(module.bias.size())}, module.bias);
  }

  Status add_int8(const MergedModule& module, const Node& node,
                  const Shape& shape) {
    const QuantParams& old = graph_.value(node.inputs[1]).type.quant;
    if (module.weight.empty()) return add_int8_bias(module, node, old);
    const QuantizedWeights w = quantize_weights(
        module.weight, shape, old.is_per_channel(), old.quantized_dimension);
    FT_TRY(const int weight, tensor_of(node.inputs[1], node));
    edits.tensors.push_back({.tensor_index = weight,
                             .shape = shape,
                             .quant = w.quant,
                             .data = to_bytes(w.q)});
    return add_int8_bias(module, node, w.quant);
  }

  // The bias counts in units of x_scale * w_scale, which may have changed.
  // Where the method leaves the bias alone, its real values are kept.
  Status add_int8_bias(const MergedModule& module, const Node& node,
                       const QuantParams& weight) {
    const ValueId id = bias_of(node);
    std::vector<float> real = module.bias;
    if (real.empty() && id == kNone) return ok_status();
    if (real.empty()) real = real_values(graph_.value(id));
    FT_TRY(const int tensor, tensor_of(id, node));
    const float x_scale = graph_.value(node.inputs[0]).type.quant.scale[0];
    QuantParams quant = weight;
    quant.quantized_dimension = 0;
    for (float& scale : quant.scale) scale *= x_scale;
    edits.tensors.push_back(
        {.tensor_index = tensor,
         .shape = Shape{static_cast<int64_t>(real.size())},
         .quant = quant,
         .data = to_bytes(quantize_bias(real, x_scale, weight.scale))});
    return ok_status();
  }

  // The tensors from the head to the output get the new number of classes, the
  // logits the range that training saw.
  Status resize_answer(int64_t classes) {
    const HeadSite site = find_head(graph_);
    for (const NodeId n : site.chain) {
      const Node& node = graph_.node(n);
      if (node.op == &ops::kReshape)
        return invalid_input(fmt::format(
            "merge: '{}' reshapes the answer, so the number of classes cannot "
            "change in the file",
            node.name));
      const ValueId out = node.outputs[0];
      FT_TRY(const int tensor, tensor_of(out, node));
      const TensorType& type = graph_.value(out).type;
      Shape shape = type.shape;
      shape.set(shape.rank() - 1, classes);
      TensorEdit edit{.tensor_index = tensor, .shape = shape};
      if (n == site.head && type.dtype == DType::kS8) {
        if (!input_.answer_range)
          return invalid_input(
              "merge: the adapter does not tell the range of its new head's "
              "answers (answer_low, answer_high), which int8 needs");
        edit.quant = activation_quantizer(input_.answer_range->low,
                                          input_.answer_range->high);
      }
      edits.tensors.push_back(std::move(edit));
    }
    return ok_status();
  }

  const TfliteModel& base_;
  const Graph& graph_;
  const MergeInput& input_;
  std::set<ValueId> edited_;
};

}  // namespace

Result<TfliteModel> merged_float_model(const std::string& model_path,
                                       const MergeInput& input) {
  FT_TRY(TfliteModel model,
         import_tflite(model_path, {.dequantize = true, .batch = 1}));
  Graph& graph = model.graph;
  FT_TRY(auto merged, merge_adapters(graph, input.adapters));
  AdaptedGraph head;
  for (MergedModule& m : merged) {
    if (is_head(graph, m.module) && !m.weight.empty() && !m.bias.empty() &&
        graph.node(find_head(graph).head).op == &ops::kFullyConnected) {
      const auto classes = static_cast<int>(m.bias.size());  // before the move
      FT_TRY_STATUS(replace_head(graph, classes, 0, std::move(m.weight),
                                 std::move(m.bias), head));
      continue;
    }
    const Node* node = find_module(graph, m.module);
    FT_CHECK(node != nullptr);
    const auto set = [&](ValueId id, const std::vector<float>& values) {
      graph.value(id).data = graph.own(std::as_bytes(std::span(values)));
    };
    if (!m.weight.empty()) set(node->inputs[1], m.weight);
    if (!m.bias.empty()) set(node->inputs[2], m.bias);
  }
  return model;
}

Result<std::vector<std::byte>> merged_tflite(
    std::span<const std::byte> original, const TfliteModel& base,
    const MergeInput& input) {
  FT_TRY(const auto merged, merge_adapters(base.graph, input.adapters));
  Merger merger(base, input);
  for (const MergedModule& m : merged) FT_TRY_STATUS(merger.add(m));
  FT_TRY_STATUS(merger.finish());
  return rewrite_tflite(original, merger.edits);
}

}  // namespace ft
