#include "kernels/kernel.h"
#include "ops/all_ops.h"
#include "ops/append.h"
#include "passes/integer/integerizer.h"

namespace ft {

using namespace ops;  // the names of ops

Status Integerizer::activation_grad(const Node& node) {
  FT_TRY(const Bfp dy, wide(node, 0));
  FT_TRY(const Bfp y, in(node, 1));
  return become_scaled(node, kBfpActivationGrad, {dy.mantissa, y.mantissa}, dy);
}

// Sums and products.
Status Integerizer::binary(const Node& node) {
  const std::string kind(node.attrs.get_word("kind"));
  if ((kind != "add" && kind != "mul") ||
      node.attrs.get_int("act") != FT_ACT_NONE)
    return unknown(node, " but plain sums and products");
  FT_TRY(const Bfp a, spread(node, 0));
  FT_TRY(const Bfp b, spread(node, 1));
  const bool is_gradient = a.is_gradient || b.is_gradient;
  if (kind == "add")
    return become(node, kBfpAdd,
                  {a.mantissa, a.exponent, b.mantissa, b.exponent}, {},
                  is_gradient);
  return become(node, kBfpMul,
                {a.mantissa, a.exponent, b.mantissa, b.exponent,
                 maybe_state(node, is_gradient)},
                {}, is_gradient);
}

// A bottleneck's side on an int8 activation. int8 has no more digits than a
// mantissa, so a side of zeros leaves it as it is.
Status Integerizer::residual_add(const Node& node) {
  FT_TRY(const Bfp x, wide(node, 0));
  FT_TRY(const Bfp side, wide(node, 1));
  FT_TRY(
      const Bfp sum,
      emit(kBfpAdd, node.name + "/sum",
           {x.mantissa, x.exponent, side.mantissa, side.exponent}, {}, false));
  Node made = node;
  made.attrs = {};
  return keep_output(std::move(made), kBfpQuantize,
                     {sum.mantissa, sum.exponent});
}

Status Integerizer::reduce(const Node& node) {
  FT_TRY(const Bfp x, wide(node, 0));
  return become(node, kBfpReduce,
                {x.mantissa, x.exponent, maybe_state(node, x.is_gradient)},
                node.attrs, x.is_gradient);
}

Status Integerizer::broadcast_to(const Node& node) {
  FT_TRY(const Bfp x, wide(node, 0));
  return become_scaled(node, kBfpBroadcastTo, {x.mantissa}, x);
}

Status Integerizer::movement(const Node& node) {
  FT_TRY(const Bfp x, wide(node, 0));
  std::vector<ValueId> inputs(node.inputs.begin(), node.inputs.end());
  inputs[0] = x.mantissa;
  FT_TRY(const auto outputs, append_node(graph_, *node.op, std::move(inputs),
                                         node.attrs, {.name = node.name}));
  for (size_t i = 0; i < outputs.size(); ++i)
    map_[node.outputs[i]] = {outputs[i], x.exponent, x.is_gradient};
  return ok_status();
}

Status Integerizer::dequantize(const Node& node) {
  FT_TRY(map_[node.outputs[0]], in(node, 0));
  return ok_status();
}

Status Integerizer::quantize(const Node& node) {
  FT_TRY(const Bfp x, wide(node, 0));
  if (graph_.value(node.outputs[0]).type.dtype != DType::kS8)
    return unknown(node, " to other than int8");
  if (x.exponent == kNone) return unknown(node);
  Node made = node;
  made.attrs = {};
  return keep_output(std::move(made), kBfpQuantize, {x.mantissa, x.exponent});
}

}  // namespace ft
