#include "ops/gradient.h"

namespace ft {

GradientBuilder::GradientBuilder(Graph& graph, const Node& forward,
                                 std::vector<ValueId> output_grads,
                                 std::vector<bool> needs_grad)
    : graph_(graph),
      forward_(forward),
      output_grads_(std::move(output_grads)),
      needs_grad_(std::move(needs_grad)),
      input_grads_(forward.inputs.size(), kNone) {
  while (first_ + 1 < output_grads_.size() && output_grads_[first_] == kNone)
    ++first_;
}

ValueId GradientBuilder::input(size_t i) const {
  return i < forward_.inputs.size() ? forward_.inputs[i] : kNone;
}

std::vector<ValueId> GradientBuilder::emit_all(const OpDef& op,
                                               std::vector<ValueId> inputs,
                                               Attrs attrs) {
  if (!status_.ok()) return {};
  const std::string name = "grad/" + forward_.name + "/" + std::string(op.name);
  auto outputs = append_node(graph_, op, std::move(inputs), std::move(attrs),
                             {.name = name});
  if (outputs.ok()) return std::move(outputs).value();
  status_ = outputs.status();
  return {};
}

ValueId GradientBuilder::emit(const OpDef& op, std::vector<ValueId> inputs,
                              Attrs attrs) {
  const std::vector<ValueId> outputs =
      emit_all(op, std::move(inputs), std::move(attrs));
  return outputs.empty() ? kNone : outputs[0];
}

void GradientBuilder::fail(Status status) {
  if (status_.ok()) status_ = std::move(status);
}

}  // namespace ft
