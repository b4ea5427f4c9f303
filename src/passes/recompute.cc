#include "passes/recompute.h"

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "ops/op_def.h"
#include "ops/updates_input.h"

namespace ft {
namespace {

size_t bytes_of(const Graph& graph, ValueId v) {
  return graph.value(v).type.num_bytes();
}

size_t output_bytes(const Graph& graph, const Node& node) {
  size_t bytes = 0;
  for (const ValueId v : node.outputs) bytes += bytes_of(graph, v);
  return bytes;
}

bool reads(const Node& node, ValueId v) {
  return std::ranges::find(node.inputs, v) != node.inputs.end();
}

// Delays gradients of parameters that read a dropped value to its next reader,
// which then shares its copy: the gradient of LoRA's A = g x goes to where x's
// own gradient wants x as a mask.
class Delay {
 public:
  Delay(Graph& graph, NodeId first_backward, const std::set<ValueId>& dropped)
      : graph_(graph), first_(first_backward), dropped_(dropped) {}

  void run() {
    for (NodeId id = graph_.num_nodes() - 1; id >= first_; --id)
      for (const ValueId v : graph_.node(id).inputs)
        if (dropped_.contains(v) && is_worth_it(id, v)) {
          move_to_next_reader(id, v);
          break;
        }
  }

 private:
  // What stays alive longer is smaller than what is not computed twice.
  bool is_worth_it(NodeId id, ValueId v) const {
    const Node& node = graph_.node(id);
    if (node.op->mutates != 0 ||
        output_bytes(graph_, node) >= bytes_of(graph_, v))
      return false;
    size_t others = 0;
    for (const ValueId in : node.inputs) {
      if (in == kNone || in == v || graph_.value(in).producer < first_)
        continue;
      if (graph_.value(in).kind == ValueKind::kActivation)
        others += bytes_of(graph_, in);
    }
    return others < bytes_of(graph_, v);
  }

  // With everything between that depends on it.
  void move_to_next_reader(NodeId id, ValueId v) {
    std::set<ValueId> late;
    std::vector<Node> moved, stay;
    NodeId at = id;
    for (; at < graph_.num_nodes(); ++at) {
      const Node& node = graph_.node(at);
      const bool depends = std::ranges::any_of(
          node.inputs, [&](ValueId in) { return late.contains(in); });
      if (at != id && !depends && reads(node, v)) break;
      if (depends && node.op->mutates == 0 &&
          output_bytes(graph_, node) >= bytes_of(graph_, v))
        return;  // the way to other gradients leads through it
      (at == id || depends ? moved : stay).push_back(node);
      if (at == id || depends)
        late.insert(node.outputs.begin(), node.outputs.end());
    }
    if (at == graph_.num_nodes()) return;
    stay.insert(stay.end(), moved.begin(), moved.end());
    std::vector<Node> nodes;
    for (NodeId n = 0; n < graph_.num_nodes(); ++n)
      nodes.push_back(n < id || n >= at ? graph_.node(n)
                                        : stay[static_cast<size_t>(n - id)]);
    graph_.set_nodes(std::move(nodes));
  }

  Graph& graph_;
  const NodeId first_;
  const std::set<ValueId>& dropped_;
};

class Recompute {
 public:
  Recompute(Graph& graph, NodeId first_backward,
            const std::set<ValueId>& dropped)
      : graph_(graph), first_(first_backward), dropped_(dropped) {}

  // A value that has to be kept after all; then no node has changed.
  std::optional<ValueId> run() {
    const int old_values = graph_.num_values();
    for (NodeId id = 0; id < graph_.num_nodes(); ++id) {
      Node node = graph_.node(id);
      if (id >= first_) read_copies(node, id);
      if (stale_) return stale_;
      for (size_t i = 0; i < node.inputs.size(); ++i)
        if (updates_input(*node.op, i)) mutated_.insert(node.inputs[i]);
      nodes_.push_back(std::move(node));
    }
    if (graph_.num_values() > old_values) graph_.set_nodes(std::move(nodes_));
    return std::nullopt;
  }

 private:
  struct Copy {
    ValueId value;
    NodeId last_use;  // in the graph as it was
  };

  void read_copies(Node& node, NodeId id) {
    for (ValueId& v : node.inputs)
      if (dropped_.contains(v)) v = copy_of(v, id);
  }

  // A copy may wait as long as nothing larger comes into being meanwhile.
  bool is_near(const Copy& copy, ValueId v, NodeId id) const {
    for (NodeId n = copy.last_use + 1; n < id; ++n)
      if (output_bytes(graph_, graph_.node(n)) >= bytes_of(graph_, v))
        return false;
    return true;
  }

  ValueId copy_of(ValueId v, NodeId id) {
    const auto found = copies_.find(v);
    if (found != copies_.end() && is_near(found->second, v, id)) {
      found->second.last_use = id;
      return found->second.value;
    }
    Node again = graph_.node(graph_.value(v).producer);
    again.name += "/again";
    for (ValueId& in : again.inputs) {
      if (mutated_.contains(in)) stale_ = v;
      if (dropped_.contains(in)) in = copy_of(in, id);
    }
    ValueId copy = kNone;
    for (ValueId& out : again.outputs) {
      const Value& value = graph_.value(out);
      const ValueId fresh =
          graph_.add_value({.name = value.name + "/again", .type = value.type});
      copies_[out] = {fresh, id};
      if (out == v) copy = fresh;
      out = fresh;
    }
    nodes_.push_back(std::move(again));
    return copy;
  }

  Graph& graph_;
  const NodeId first_;
  const std::set<ValueId>& dropped_;
  std::vector<Node> nodes_;
  std::map<ValueId, Copy> copies_;
  std::set<ValueId> mutated_;  // by nodes so far
  std::optional<ValueId> stale_;
};

}  // namespace

std::set<ValueId> marked_values(const Graph& graph, NodeId first_backward) {
  std::set<ValueId> marked;
  for (NodeId id = 0; id < first_backward; ++id)
    if (graph.node(id).attrs.get_int("recompute") != 0)
      marked.insert(graph.node(id).outputs[0]);
  return marked;
}

std::set<ValueId> droppable_values(const Graph& graph, NodeId first_backward) {
  std::set<ValueId> all;
  for (NodeId id = 0; id < first_backward; ++id)
    if (graph.node(id).op->mutates == 0)
      all.insert(graph.node(id).outputs.begin(), graph.node(id).outputs.end());
  for (const ValueId v : graph.outputs) all.erase(v);
  return all;
}

void recompute_dropped(Graph& graph, NodeId first_backward,
                       std::set<ValueId> dropped) {
  Delay(graph, first_backward, dropped).run();
  while (const auto stale = Recompute(graph, first_backward, dropped).run())
    dropped.erase(*stale);
}

}  // namespace ft
