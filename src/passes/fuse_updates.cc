#include "passes/fuse_updates.h"

#include <algorithm>
#include <optional>

#include "ops/all_ops.h"
#include "ops/outer_updates.h"
#include "passes/dead_code.h"

namespace ft {
namespace {

using namespace ops;  // the names of ops

// Whether v is read once, by a node.
bool has_one_reader(const Graph& graph, ValueId v) {
  return graph.readers(v).size() == 1 &&
         std::ranges::find(graph.outputs, v) == graph.outputs.end();
}

// The node that computes v, which only one node reads, through views; nullptr:
// none, or others read it too.
const Node* private_source(const Graph& graph, ValueId v) {
  while (has_one_reader(graph, v) && graph.value(v).producer != kNone) {
    const Node& node = graph.node(graph.value(v).producer);
    if (!node.op->is_view) return &node;
    v = node.inputs[0];
  }
  return nullptr;
}

// A matmul with sums of one product, float or integer, which nothing scales.
// Either order of an operand's dimensions lies in memory as a vector does.
bool is_outer_product(const Graph& graph, const Node& node) {
  const TensorType& a = graph.value(node.inputs[0]).type;
  const TensorType& b = graph.value(node.inputs[1]).type;
  const Shape& c = graph.value(node.outputs[0]).type.shape;
  return node.attrs.get_real("alpha", 1) == 1 && c.rank() == 2 &&
         a.shape.num_elements() == c[0] && b.shape.num_elements() == c[1] &&
         !a.quant.is_per_channel() && !b.quant.is_per_channel();
}

// dw of one window of one output pixel.
bool is_one_window(const Graph& graph, const Node& node) {
  const Shape& dw = graph.value(node.outputs[0]).type.shape;
  const Shape& x = graph.value(node.inputs[0]).type.shape;
  const Shape& dy = graph.value(node.inputs[1]).type.shape;
  return node.attrs.get_int("groups", 1) == 1 && dy.num_elements() == dw[0] &&
         dw[1] == 1 && dw[2] == 1 && x.num_elements() == dw[3];
}

// Factors that no update writes, before or here.
bool are_activations(const Graph& graph, ValueId dy, ValueId x) {
  const auto is_stable = [&](ValueId v) {
    const ValueKind kind = graph.value(v).kind;
    return kind != ValueKind::kParam && kind != ValueKind::kState;
  };
  return is_stable(dy) && is_stable(x);
}

ValueId input_of(const Node& node, size_t i) {
  return i < node.inputs.size() ? node.inputs[i] : kNone;
}

// Whether the parameter's first dimension counts the values of dy.
bool has_rows_of(const Graph& graph, ValueId param, ValueId dy) {
  const Shape& w = graph.value(param).type.shape;
  return w.rank() > 0 && w[0] == graph.value(dy).type.shape.num_elements();
}

struct Fused {
  const OpDef* op;
  std::vector<ValueId> inputs;
  const Node* gradient;  // whose work this is now
};

// Both of `dtype`.
bool are_of_dtype(const Graph& graph, ValueId dy, ValueId x, DType dtype) {
  return graph.value(dy).type.dtype == dtype &&
         graph.value(x).type.dtype == dtype;
}

std::optional<Fused> fuse_float(const Graph& graph, const Node& update) {
  const Node* grad = private_source(graph, update.inputs[1]);
  if (grad == nullptr || grad->op != &kMatmul ||
      !is_outer_product(graph, *grad))
    return std::nullopt;
  const std::vector<ValueId>& in = update.inputs;
  const ValueId dy = grad->inputs[0], x = grad->inputs[1];
  if (!are_of_dtype(graph, dy, x, DType::kF32) ||
      !are_activations(graph, dy, x) || !has_rows_of(graph, in[0], dy))
    return std::nullopt;
  if (update.op == &kAdamwUpdate)
    return Fused{&kOuterAdamwUpdate, {in[0], dy, x, in[2], in[3], in[4]}, grad};
  Fused fused{&kOuterSgdUpdate, {in[0], dy, x, in[2]}, grad};
  if (const ValueId state = input_of(update, 3); state != kNone)
    fused.inputs.push_back(state);
  return fused;
}

// Where the operands of an integer gradient stand among its inputs.
struct Places {
  size_t dy, dy_exp, x, x_exp, predicted;
};

std::optional<Places> places_of(const Graph& graph, const Node& grad) {
  if (grad.op == &kBfpMatmul && is_outer_product(graph, grad))
    return Places{0, 2, 1, 3, 4};
  if (grad.op == &kBfpConv2dWeightGrad && is_one_window(graph, grad))
    return Places{1, 2, 0, 3, 4};
  return std::nullopt;
}

std::optional<Fused> fuse_integer(const Graph& graph, const Node& update) {
  const Node* grad = private_source(graph, update.inputs[2]);
  if (grad == nullptr) return std::nullopt;
  const std::optional<Places> at = places_of(graph, *grad);
  const QuantParams& units = graph.value(update.inputs[0]).type.quant;
  if (!at || !has_one_reader(graph, grad->outputs[1]) ||
      units.is_per_channel() || units.scale[0] != 1)
    return std::nullopt;
  const ValueId dy = grad->inputs[at->dy], x = grad->inputs[at->x];
  if (graph.value(dy).type.dtype != DType::kS16 ||
      !are_activations(graph, dy, x) ||
      !has_rows_of(graph, update.inputs[0], dy))
    return std::nullopt;
  const bool is_adamw = update.op == &kBfpAdamwUpdate;
  Fused fused{is_adamw ? &kBfpOuterAdamwUpdate : &kBfpOuterSgdUpdate,
              {update.inputs.begin(), update.inputs.begin() + 6},
              grad};
  fused.inputs[2] = dy;
  fused.inputs[3] = grad->inputs[at->dy_exp];
  fused.inputs.push_back(input_of(update, 6));
  if (is_adamw) fused.inputs.push_back(update.inputs[7]);
  for (const size_t i : {at->x, at->x_exp, at->predicted})
    fused.inputs.push_back(input_of(*grad, i));
  return fused;
}

std::optional<Fused> fuse(const Graph& graph, const Node& update) {
  if (update.op == &kSgdUpdate && input_of(update, 4) == kNone)
    return fuse_float(graph, update);
  if (update.op == &kAdamwUpdate && input_of(update, 5) == kNone)
    return fuse_float(graph, update);
  if (update.op == &kBfpSgdUpdate && input_of(update, 7) == kNone)
    return fuse_integer(graph, update);
  if (update.op == &kBfpAdamwUpdate && input_of(update, 8) == kNone)
    return fuse_integer(graph, update);
  return std::nullopt;
}

}  // namespace

void fuse_updates(Graph& graph) {
  std::vector<const Node*> gone;
  std::vector<Node> nodes;
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    nodes.push_back(graph.node(id));
    std::optional<Fused> fused = fuse(graph, graph.node(id));
    if (!fused) continue;
    nodes.back().op = fused->op;
    nodes.back().inputs = std::move(fused->inputs);
    gone.push_back(fused->gradient);
  }
  // Those of integers write a state, so that they would not count as dead.
  for (const Node* node : gone)
    std::erase_if(nodes, [&](const Node& n) {
      return n.outputs == node->outputs && !n.outputs.empty();
    });
  graph.set_nodes(std::move(nodes));
  remove_dead_nodes(graph);  // views between the two
}

}  // namespace ft
