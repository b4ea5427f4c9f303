#include "ops/append.h"

#include <fmt/format.h>

namespace ft {
namespace {

Status check_inputs(const NodeView& view) {
  const OpDef& op = *view.op;
  const size_t given = view.num_inputs();
  if (given < static_cast<size_t>(op.min_inputs) ||
      given > static_cast<size_t>(op.max_inputs))
    return view.error(fmt::format("takes {} to {} inputs, got {}",
                                  op.min_inputs, op.max_inputs, given));
  for (size_t i = 0; i < static_cast<size_t>(op.min_inputs); ++i)
    if (!view.has(i)) return view.error(fmt::format("input {} is missing", i));
  return ok_status();
}

// int8 without a quantizer has no meaning; the caller must have named one.
Status settle_quant(const NodeView& view, std::vector<TensorType>& types) {
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i].dtype != DType::kS8 || !types[i].quant.empty()) continue;
    if (i >= view.wanted_quant.size() || view.wanted_quant[i].empty())
      return view.error(fmt::format("int8 output {} has no quantizer", i));
    types[i].quant = view.wanted_quant[i];
  }
  return ok_status();
}

}  // namespace

Result<std::vector<ValueId>> append_node(Graph& graph, const OpDef& op,
                                         std::vector<ValueId> inputs,
                                         Attrs attrs, AppendOptions options) {
  Node node{.op = &op,
            .name = options.name,
            .inputs = std::move(inputs),
            .outputs = {},
            .attrs = std::move(attrs)};
  NodeView view = view_of(graph, node);
  view.wanted_quant = options.out_quant;
  FT_TRY_STATUS(check_inputs(view));
  FT_TRY(std::vector<TensorType> types, op.infer(view));
  FT_TRY_STATUS(settle_quant(view, types));
  if (node.name.empty())
    node.name = fmt::format("{}_{}", op.name, graph.num_nodes());
  for (size_t i = 0; i < types.size(); ++i) {
    std::string name =
        i < options.output_names.size()
            ? options.output_names[i]
            : (i == 0 ? node.name : fmt::format("{}:{}", node.name, i));
    node.outputs.push_back(graph.add_value(
        {.name = std::move(name), .type = std::move(types[i])}));
  }
  std::vector<ValueId> outputs = node.outputs;
  graph.add_node(std::move(node));
  return outputs;
}

Result<ValueId> append(Graph& graph, const OpDef& op,
                       std::vector<ValueId> inputs, Attrs attrs,
                       AppendOptions options) {
  FT_TRY(const std::vector<ValueId> outputs,
         append_node(graph, op, std::move(inputs), std::move(attrs),
                     std::move(options)));
  FT_CHECK(outputs.size() == 1);
  return outputs[0];
}

}  // namespace ft
