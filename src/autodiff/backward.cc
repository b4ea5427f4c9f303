#include "autodiff/backward.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/all_ops.h"
#include "ops/gradient.h"

namespace ft {
namespace {

class Backward {
 public:
  Backward(Graph& graph, std::span<const ValueId> params,
           const GradientReady& ready)
      : graph_(graph),
        params_(params.begin(), params.end()),
        ready_(ready),
        num_forward_nodes_(graph.num_nodes()),
        needs_(static_cast<size_t>(graph.num_values()), false),
        grads_(static_cast<size_t>(graph.num_values()), kNone),
        first_reader_(static_cast<size_t>(graph.num_values()), kNone) {
    for (const ValueId p : params_) needs_[at(p)] = true;
    for (NodeId n = 0; n < num_forward_nodes_; ++n) mark(n);
  }

  Status run(ValueId loss) {
    for (const ValueId p : params_)
      if (first_reader_[at(p)] == kNone) return unused(p);
    FT_TRY_STATUS(seed(loss));
    for (NodeId n = num_forward_nodes_ - 1; n >= 0; --n) {
      FT_TRY_STATUS(differentiate(n));
      FT_TRY_STATUS(finish_params(n));
    }
    return ok_status();
  }

 private:
  static size_t at(ValueId id) { return static_cast<size_t>(id); }

  void mark(NodeId n) {
    const Node& node = graph_.node(n);
    bool any = false;
    for (const ValueId in : node.inputs) {
      if (in == kNone) continue;
      if (first_reader_[at(in)] == kNone) first_reader_[at(in)] = n;
      any = any || needs_[at(in)];
    }
    // To the gradient, what such a node makes is a constant.
    if (node.attrs.get_int("stop_gradient") != 0) any = false;
    for (const ValueId out : node.outputs) needs_[at(out)] = any;
  }

  Status seed(ValueId loss) {
    const TensorType type{.dtype = graph_.value(loss).type.dtype,
                          .shape = graph_.value(loss).type.shape,
                          .quant = {}};
    if (type.shape.num_elements() != 1)
      return internal_error("append_backward: the loss is not a scalar");
    grads_[at(loss)] = type.dtype == DType::kF64
                           ? graph_.add_owned<double>(ValueKind::kConstant,
                                                      "grad/loss", type, {1.0})
                           : graph_.add_owned<float>(ValueKind::kConstant,
                                                     "grad/loss", type, {1.0f});
    return ok_status();
  }

  Status differentiate(NodeId n) {
    const Node node = graph_.node(n);  // a copy: nodes are appended below
    std::vector<ValueId> output_grads;
    bool any = false;
    for (const ValueId out : node.outputs) {
      output_grads.push_back(grads_[at(out)]);
      any = any || grads_[at(out)] != kNone;
    }
    std::vector<bool> needs;
    bool wanted = false;
    for (const ValueId in : node.inputs) {
      needs.push_back(in != kNone && needs_[at(in)]);
      wanted = wanted || needs.back();
    }
    if (!any || !wanted) return ok_status();
    if (node.op->gradient == nullptr)
      return invalid_input(fmt::format(
          "{} '{}' has no gradient rule, but a trainable value lies before it",
          node.op->name, node.name));
    GradientBuilder builder(graph_, node, std::move(output_grads),
                            std::move(needs));
    node.op->gradient(builder);
    if (!builder.status().ok()) return builder.status();
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (const ValueId g = builder.input_grads()[i]; g != kNone)
        FT_TRY_STATUS(accumulate(node.inputs[i], g));
    return ok_status();
  }

  Status accumulate(ValueId value, ValueId grad) {
    ValueId& sum = grads_[at(value)];
    if (sum == kNone) {
      sum = grad;
      return ok_status();
    }
    FT_TRY(sum, append(graph_, ops::kBinary, {sum, grad}, {{"kind", "add"}},
                       {.name = "grad/" + graph_.value(value).name + "/sum"}));
    return ok_status();
  }

  // A parameter is done when its first reader has been differentiated.
  Status finish_params(NodeId n) {
    for (const ValueId p : params_) {
      if (first_reader_[at(p)] != n) continue;
      if (grads_[at(p)] == kNone) return unused(p);
      FT_TRY_STATUS(ready_(graph_, p, grads_[at(p)]));
    }
    return ok_status();
  }

  Status unused(ValueId p) const {
    return invalid_input(fmt::format(
        "parameter '{}' does not influence the loss", graph_.value(p).name));
  }

  Graph& graph_;
  std::vector<ValueId> params_;
  const GradientReady& ready_;
  const NodeId num_forward_nodes_;
  std::vector<bool> needs_;           // by value: depends on a parameter
  std::vector<ValueId> grads_;        // by forward value
  std::vector<NodeId> first_reader_;  // by forward value
};

}  // namespace

Status append_backward(Graph& graph, ValueId loss,
                       std::span<const ValueId> params,
                       const GradientReady& ready) {
  return Backward(graph, params, ready).run(loss);
}

}  // namespace ft
