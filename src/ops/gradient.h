// What a gradient rule sees: one forward node, the gradients of its outputs,
// and a way to emit new nodes. Gradients are always float (float64 in tests),
// in real units, also of int8 values (straight-through).
#pragma once

#include <string>
#include <vector>

#include "ops/append.h"

namespace ft {

class GradientBuilder {
 public:
  GradientBuilder(Graph& graph, const Node& forward,
                  std::vector<ValueId> output_grads,
                  std::vector<bool> needs_grad);

  ValueId input(size_t i) const;  // kNone where absent
  ValueId output(size_t i = 0) const { return forward_.outputs[i]; }
  // kNone where nobody uses that output.
  ValueId output_grad(size_t i = 0) const { return output_grads_[i]; }
  bool needs_grad(size_t i) const { return needs_grad_[i]; }
  const Attrs& attrs() const { return forward_.attrs; }
  const TensorType& type(ValueId id) const { return graph_.value(id).type; }
  const Shape& shape(ValueId id) const { return type(id).shape; }
  // The float dtype that gradients are computed in.
  DType real() const { return type(output_grads_[first_]).dtype; }

  void set_input_grad(size_t i, ValueId grad) { input_grads_[i] = grad; }
  // Emits a node with one output; kNone after a failure, which is kept and
  // reported by status(). A kNone required input fails too.
  ValueId emit(const OpDef& op, std::vector<ValueId> inputs, Attrs attrs = {});
  std::vector<ValueId> emit_all(const OpDef& op, std::vector<ValueId> inputs,
                                Attrs attrs = {});
  void fail(Status status);

  const Status& status() const { return status_; }
  const std::vector<ValueId>& input_grads() const { return input_grads_; }

 private:
  Graph& graph_;
  Node forward_;  // a copy: emitting nodes moves the graph's own
  std::vector<ValueId> output_grads_;
  std::vector<bool> needs_grad_;
  std::vector<ValueId> input_grads_;
  size_t first_ = 0;  // first output that has a gradient
  Status status_;
};

}  // namespace ft
