#include "ir/graph.h"

#include <algorithm>

namespace ft {

ValueId Graph::add_value(Value value) {
  values_.push_back(std::move(value));
  return num_values() - 1;
}

ValueId Graph::add_input(std::string name, TensorType type) {
  const ValueId id = add_value({.name = std::move(name),
                                .type = std::move(type),
                                .kind = ValueKind::kInput});
  inputs.push_back(id);
  return id;
}

ValueId Graph::add_constant(std::string name, TensorType type,
                            std::span<const std::byte> data) {
  return add_value({.name = std::move(name),
                    .type = std::move(type),
                    .kind = ValueKind::kConstant,
                    .data = data});
}

std::span<const std::byte> Graph::own(std::span<const std::byte> bytes) {
  storage_.push_back(std::make_shared<const std::vector<std::byte>>(
      bytes.begin(), bytes.end()));
  return *storage_.back();
}

NodeId Graph::add_node(Node node) {
  const NodeId id = num_nodes();
  for (const ValueId out : node.outputs) value(out).producer = id;
  nodes_.push_back(std::move(node));
  return id;
}

void Graph::set_nodes(std::vector<Node> nodes) {
  nodes_ = std::move(nodes);
  for (Value& v : values_) v.producer = kNone;
  for (NodeId id = 0; id < num_nodes(); ++id)
    for (const ValueId out : node(id).outputs) value(out).producer = id;
}

void Graph::replace_uses(ValueId from, ValueId to, NodeId first) {
  for (NodeId id = first; id < num_nodes(); ++id)
    std::ranges::replace(node(id).inputs, from, to);
  std::ranges::replace(outputs, from, to);
}

std::vector<NodeId> Graph::readers(ValueId id) const {
  std::vector<NodeId> found;
  for (NodeId n = 0; n < num_nodes(); ++n)
    if (std::ranges::find(node(n).inputs, id) != node(n).inputs.end())
      found.push_back(n);
  return found;
}

ValueId Graph::find_value(std::string_view name) const {
  for (ValueId id = 0; id < num_values(); ++id)
    if (value(id).name == name) return id;
  return kNone;
}

Graph Graph::clone() const {
  Graph copy;
  copy.inputs = inputs;
  copy.outputs = outputs;
  copy.values_ = values_;
  copy.nodes_ = nodes_;
  copy.storage_ = storage_;
  copy.owners_ = owners_;
  return copy;
}

}  // namespace ft
