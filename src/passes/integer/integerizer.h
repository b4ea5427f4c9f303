// Rewrites a float step graph as block floating point, node by node: for each
// op that has an integer form there is a rule that emits it. Internal to
// passes/integerize.h.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "ops/op_def.h"

namespace ft {

// What a float32 value became. An int8 value read as real numbers has no
// exponent.
struct Bfp {
  ValueId mantissa = kNone, exponent = kNone;
  bool is_gradient = false;  // depends on the loss
  bool is_inverse = false;   // 1 / the float value, which only divides
};

class Integerizer {
 public:
  explicit Integerizer(Graph& graph) : graph_(graph) {}
  Status run();

 private:
  struct Rule {
    const OpDef* op;
    Status (Integerizer::*convert)(const Node& node);
  };
  static std::span<const Rule> rules();
  // Of magnitudes (DoRA's), the lengths that the base's rows have: counted in
  // them, all magnitudes are near 1 and share an exponent well.
  std::map<ValueId, std::vector<float>> units_of_params() const;
  void convert_params();
  // A float constant (VeRA's frozen matrices) in block floating point.
  Bfp as_constant(ValueId v);
  Status convert(const Node& node);
  Status convert_outputs();

  bool is_float(ValueId v) const;
  // The refusal: "integer training knows no <op><what>".
  Status unknown(const Node& node, const char* what = "") const;

  // Operands.
  // Fails for a float that no converted node made.
  Result<Bfp> at(const Node& node, ValueId v);
  Result<Bfp> in(const Node& node, size_t i);
  // As mantissas: an int8 value is widened, once for each reader.
  Result<Bfp> wide(const Node& node, size_t i);
  // Input i in the shape of the node's output.
  Result<Bfp> spread(const Node& node, size_t i);
  Result<ValueId> reshaped(const std::string& name, ValueId v,
                           const Shape& shape);

  // Results.
  Result<Bfp> emit(const OpDef& op, std::string name,
                   std::vector<ValueId> inputs, Attrs attrs, bool is_gradient);
  // The node's output 0 is what `op` gives.
  Status become(const Node& node, const OpDef& op, std::vector<ValueId> inputs,
                Attrs attrs, bool is_gradient);
  // The same for ops that leave the exponent alone.
  Status become_scaled(const Node& node, const OpDef& op,
                       std::vector<ValueId> inputs, const Bfp& x);
  // An int8 node keeps its output value.
  Status keep_output(Node node, const OpDef& op, std::vector<ValueId> inputs);
  ValueId add_state(const Node& node);
  // Only gradients predict their exponents: a forward pass must not depend on
  // the step before.
  ValueId maybe_state(const Node& node, bool is_gradient);

  // Layers and their gradients: layers.cc.
  Status int8_layer(const Node& node);
  Status activate(const Node& node, Bfp y);
  Status conv(const Node& node);
  Status dense(const Node& node);
  Status matmul(const Node& node);
  Status input_grad(const Node& node);
  Status weight_grad(const Node& node);
  Status depthwise_input_grad(const Node& node);
  Status gain_grad(const Node& node);
  Status sparse(const Node& node);
  Status sparse_input_grad(const Node& node);
  // x's blocks of channels that input 2 of `node` keeps, and their gradient
  // between zeros.
  Result<ValueId> kept_blocks(const Node& node, ValueId x);
  Result<Bfp> spread_blocks(const Node& node, Bfp dx);
  Status block(const Node& node);
  Status block_input_grad(const Node& node);
  Status weight_norm(const Node& node);
  Status quotient(const Node& node);
  Status avg_pool_grad(const Node& node);
  Status max_pool_grad(const Node& node);

  // Element-wise ops, sums and movement: values.cc.
  Status activation_grad(const Node& node);
  Status binary(const Node& node);
  Status residual_add(const Node& node);
  Status reduce(const Node& node);
  Status broadcast_to(const Node& node);
  Status movement(const Node& node);
  Result<Bfp> joined(const std::string& name, std::span<const Bfp> parts,
                     int64_t axis);
  Status concat(const Node& node);
  Status pad(const Node& node);
  Status gather_grad(const Node& node);
  Status minmax_quantizer(const Node& node);
  Status fake_quantize(const Node& node);
  Status dequantize(const Node& node);
  Status quantize(const Node& node);

  // Losses: losses.cc.
  Status softmax(const Node& node);
  Status entropy(const Node& node);
  Status check_seed(const Node& node) const;
  Status entropy_grad(const Node& node);
  Result<ValueId> target(const Node& node);
  Status mse(const Node& node);
  Status mse_grad(const Node& node);

  // Updates: updates.cc.
  void convert_hyper(ValueId v);
  Status convert_state(const Node& node, ValueId v, DType dtype);
  Status accumulate(const Node& node);
  Status top_gradient(const Node& node);
  Status update(const Node& node, const OpDef& op, size_t hyper,
                const std::vector<size_t>& states, size_t positions);
  Status sgd(const Node& node);
  Status adamw(const Node& node);

  Graph& graph_;
  std::map<ValueId, Bfp> map_;  // by the float32 value
};

}  // namespace ft
