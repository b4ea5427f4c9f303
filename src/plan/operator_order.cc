#include "plan/operator_order.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "ops/updates_input.h"
#include "plan/order_search.h"
#include "plan/placement.h"

namespace ft {
namespace {

class ProblemOfGraph {
 public:
  ProblemOfGraph(const Graph& graph, std::span<const Overlap> overlaps)
      : graph_(graph), overlaps_(overlaps) {
    find_roots();
    add_buffers();
    for (NodeId n = 0; n < graph.num_nodes(); ++n) add_operation(n);
  }

  const OrderProblem& problem() const { return problem_; }

 private:
  static size_t at(int id) { return static_cast<size_t>(id); }

  // A view lies in the buffer of what it views.
  void find_roots() {
    for (ValueId v = 0; v < graph_.num_values(); ++v) root_.push_back(v);
    for (NodeId n = 0; n < graph_.num_nodes(); ++n) {
      const Node& node = graph_.node(n);
      if (node.op->is_view && !node.outputs.empty() && node.inputs[0] != kNone)
        root_[at(node.outputs[0])] = root_[at(node.inputs[0])];
    }
  }

  void add_buffers() {
    buffer_.assign(at(graph_.num_values()), kNone);
    const auto add = [&](ValueId v, bool from_start) {
      buffer_[at(v)] = static_cast<int>(problem_.buffers.size());
      problem_.buffers.push_back({.bytes = graph_.value(v).type.num_bytes(),
                                  .from_start = from_start,
                                  .to_end = false});
    };
    for (const ValueId v : graph_.inputs)
      if (buffer_[at(v)] == kNone) add(v, true);
    for (ValueId v = 0; v < graph_.num_values(); ++v) {
      const Value& value = graph_.value(v);
      if (value.kind == ValueKind::kActivation && value.producer != kNone &&
          root_[at(v)] == v)
        add(v, false);
    }
    for (const ValueId v : graph_.outputs)
      if (const int b = buffer_of(v); b != kNone)
        problem_.buffers[at(b)].to_end = true;
  }

  int buffer_of(ValueId v) const { return buffer_[at(root_[at(v)])]; }

  void add_operation(NodeId n) {
    const Node& node = graph_.node(n);
    OrderProblem::Operation op;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId v = node.inputs[i];
      if (v == kNone) continue;
      if (const NodeId producer = graph_.value(v).producer; producer != kNone)
        op.before.push_back(producer);
      if (const int b = buffer_of(v); b != kNone) op.reads.push_back(b);
      keep_order_of_updates(n, v, updates_input(*node.op, i), op);
    }
    for (const ValueId v : node.outputs)
      if (root_[at(v)] == v && buffer_[at(v)] != kNone)
        op.makes.push_back(buffer_[at(v)]);
    share(n, op);
    remove_doubles(op.reads);
    remove_doubles(op.before);
    problem_.operations.push_back(std::move(op));
  }

  // What is written in place is read before or after, as it was.
  void keep_order_of_updates(NodeId n, ValueId v, bool writes,
                             OrderProblem::Operation& op) {
    const ValueKind kind = graph_.value(root_[at(v)]).kind;
    if (kind != ValueKind::kParam && kind != ValueKind::kState) return;
    Touched& touched = touched_[root_[at(v)]];
    if (touched.writer != kNone && touched.writer != n)
      op.before.push_back(touched.writer);
    if (!writes) {
      touched.readers.push_back(n);
      return;
    }
    for (const NodeId reader : touched.readers)
      if (reader != n) op.before.push_back(reader);
    touched = {.writer = n, .readers = {}};
  }

  // The planner lets a node write over what dies there: in place, or as far as
  // its kernel row allows.
  void share(NodeId n, OrderProblem::Operation& op) const {
    const Node& node = graph_.node(n);
    if (node.op->is_view || op.makes.empty()) return;
    const size_t out = problem_.buffers[at(op.makes[0])].bytes;
    if (const int b = read_once(node, node.op->inplace_input, op);
        b != kNone && is_activation(node, node.op->inplace_input) &&
        problem_.buffers[at(b)].bytes == out) {
      op.over = b;
      op.saves = out;
      return;
    }
    const Overlap& overlap = overlaps_[at(n)];
    op.over = read_once(node, overlap.input, op);
    if (op.over != kNone)
      op.saves = shared_bytes(out, problem_.buffers[at(op.over)].bytes,
                              overlap.distance);
  }

  bool is_activation(const Node& node, int input) const {
    const ValueId owner = root_[at(node.inputs[at(input)])];
    return graph_.value(owner).kind == ValueKind::kActivation;
  }

  // The buffer of an input, if no other input of the node lies there.
  int read_once(const Node& node, int input,
                const OrderProblem::Operation& op) const {
    if (input == kNone || node.inputs[at(input)] == kNone) return kNone;
    const int b = buffer_of(node.inputs[at(input)]);
    return b != kNone && std::ranges::count(op.reads, b) == 1 ? b : kNone;
  }

  static void remove_doubles(std::vector<int>& list) {
    std::ranges::sort(list);
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }

  struct Touched {
    NodeId writer = kNone;
    std::vector<NodeId> readers = {};  // since then
  };

  const Graph& graph_;
  std::span<const Overlap> overlaps_;
  OrderProblem problem_;
  std::vector<ValueId> root_;  // by value
  std::vector<int> buffer_;    // by value, roots only
  std::map<ValueId, Touched> touched_;
};

}  // namespace

std::vector<NodeId> order_for_peak(const Graph& graph,
                                   std::span<const Overlap> overlaps,
                                   int64_t work) {
  const ProblemOfGraph problem(graph, overlaps);
  return find_order(problem.problem(), work).order;
}

}  // namespace ft
