#include "ops/op_def.h"

#include <fmt/format.h>

namespace ft {

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::kC99: return "c99";
    case Isa::kHighway: return "hwy";
    case Isa::kAvx512Vnni: return "avx512vnni";
    case Isa::kOneDnn: return "onednn";
    case Isa::kArmDsp: return "armdsp";
    case Isa::kHelium: return "helium";
  }
  return "?";
}

std::string_view name_of(CostClass cost_class) {
  switch (cost_class) {
    case CostClass::kMatrix: return "matrix";
    case CostClass::kDepthwise: return "depthwise";
    case CostClass::kElementwise: return "elementwise";
    case CostClass::kReduction: return "reduction";
    case CostClass::kNonlinear: return "nonlinear";
    case CostClass::kMovement: return "movement";
    case CostClass::kUpdate: return "update";
  }
  return "?";
}

std::string_view short_name_of(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "f32";
    case DType::kF16: return "f16";
    case DType::kBF16: return "bf16";
    case DType::kF64: return "f64";
    case DType::kS8: return "s8";
    case DType::kU8: return "u8";
    case DType::kS16: return "s16";
    case DType::kS32: return "s32";
    case DType::kS64: return "s64";
    case DType::kBool: return "bool";
  }
  return "?";
}

Division division_of(const KernelDef& row, const NodeView& node,
                     const Lowered& lowered) {
  const bool on_devices = row.isa == Isa::kC99 || row.isa == Isa::kArmDsp ||
                          row.isa == Isa::kHelium;
  if (node.op->divide == nullptr || !on_devices) return {};
  return node.op->divide(row, node, lowered);
}

Status NodeView::error(const std::string& sentence) const {
  return invalid_input(
      name.empty() ? fmt::format("{}: {}", op->name, sentence)
                   : fmt::format("{} '{}': {}", op->name, name, sentence));
}

NodeView view_of(const Graph& graph, const Node& node) {
  NodeView view{.op = node.op,
                .name = node.name,
                .inputs = {},
                .outputs = {},
                .attrs = &node.attrs,
                .wanted_quant = {}};
  for (const ValueId id : node.inputs)
    view.inputs.push_back(id == kNone ? nullptr : &graph.value(id).type);
  for (const ValueId id : node.outputs)
    view.outputs.push_back(&graph.value(id).type);
  return view;
}

std::span<const std::byte> LowerContext::constant(size_t i) const {
  if (!view.has(i)) return {};
  const Value& value = graph.value(node.inputs[i]);
  if (value.kind != ValueKind::kConstant) return {};
  return value.data;
}

std::string signature_of(const NodeView& node) {
  std::string text;
  for (size_t i = 0; i < static_cast<size_t>(node.op->signature_inputs); ++i) {
    if (i > 0) text += ',';
    text += node.has(i) ? short_name_of(node.in(i).dtype) : "-";
  }
  text += "->";
  if (!node.outputs.empty()) text += short_name_of(node.out(0).dtype);
  return text;
}

}  // namespace ft
