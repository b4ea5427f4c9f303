#include <fmt/format.h>

#include "kernels/kernel.h"
#include "ops/all_ops.h"
#include "ops/append.h"
#include "ops/bfp_ops.h"
#include "passes/integer/integerizer.h"

namespace ft {

using namespace ops;  // the names of ops

Status Integerizer::activation_grad(const Node& node) {
  FT_TRY(const Bfp dy, wide(node, 0));
  FT_TRY(const Bfp y, in(node, 1));
  return become_scaled(node, kBfpActivationGrad, {dy.mantissa, y.mantissa}, dy);
}

// Sums and products, and quotients by what is there as an inverse.
Status Integerizer::binary(const Node& node) {
  const std::string kind(node.attrs.get_word("kind"));
  if (const auto by = map_.find(node.inputs[1]);
      kind == "div" && by != map_.end() && by->second.is_inverse)
    return quotient(node);
  if (kind != "add" && kind != "mul")
    return unknown(node, " but sums and products");
  FT_TRY(const Bfp a, spread(node, 0));
  FT_TRY(const Bfp b, spread(node, 1));
  const bool is_gradient = a.is_gradient || b.is_gradient;
  std::vector<ValueId> inputs = {a.mantissa, a.exponent, b.mantissa,
                                 b.exponent};
  if (kind == "mul") inputs.push_back(maybe_state(node, is_gradient));
  FT_TRY(const Bfp y, emit(kind == "add" ? kBfpAdd : kBfpMul, node.name,
                           std::move(inputs), {}, is_gradient));
  return activate(node, y);
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

Result<Bfp> Integerizer::joined(const std::string& name,
                                std::span<const Bfp> parts, int64_t axis) {
  std::vector<ValueId> inputs;
  bool is_gradient = false;
  for (const Bfp& part : parts) {
    inputs.push_back(part.mantissa);
    inputs.push_back(part.exponent);
    is_gradient = is_gradient || part.is_gradient;
  }
  return emit(kBfpConcat, name, std::move(inputs), {{"axis", axis}},
              is_gradient);
}

Status Integerizer::concat(const Node& node) {
  std::vector<Bfp> parts;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    FT_TRY(parts.emplace_back(), wide(node, i));
  }
  FT_TRY(map_[node.outputs[0]],
         joined(node.name, parts, node.attrs.get_int("axis")));
  return ok_status();
}

Status Integerizer::gather_grad(const Node& node) {
  FT_TRY(const Bfp dy, wide(node, 0));
  return become(node, kBfpGatherGrad,
                {dy.mantissa, dy.exponent, node.inputs[1], add_state(node)},
                node.attrs, true);
}

// Zeros need no exponent; any other constant has its own, and comes in one
// dimension after the other as a part beside the tensor.
Status Integerizer::pad(const Node& node) {
  const double value = node.attrs.get_real("value", 0);
  if (value == 0 || node.attrs.get_word("mode", "constant") != "constant")
    return movement(node);
  FT_TRY(Bfp x, wide(node, 0));
  const auto fill = [&](int axis, int64_t count, const char* where) {
    Shape shape = graph_.value(x.mantissa).type.shape;
    shape.set(axis, count);
    const ValueId v = graph_.add_owned(
        ValueKind::kConstant, fmt::format("{}/{}{}", node.name, where, axis),
        {.dtype = DType::kF32, .shape = shape, .quant = {}},
        std::vector<float>(static_cast<size_t>(shape.num_elements()),
                           static_cast<float>(value)));
    return as_constant(v);
  };
  const auto before = node.attrs.get_ints("before");
  const auto after = node.attrs.get_ints("after");
  for (size_t d = 0; d < before.size(); ++d) {
    const auto axis = static_cast<int>(d);
    std::vector<Bfp> parts{x};
    if (before[d] > 0)
      parts.insert(parts.begin(), fill(axis, before[d], "before"));
    if (after[d] > 0) parts.push_back(fill(axis, after[d], "after"));
    if (parts.size() == 1) continue;
    FT_TRY(x, joined(fmt::format("{}/axis{}", node.name, d), parts, axis));
  }
  map_[node.outputs[0]] = x;
  return ok_status();
}

// Powers of two, which the rounding itself finds: no value of its own.
Status Integerizer::minmax_quantizer(const Node& node) {
  if (node.outputs.size() > 1) return unknown(node, " with zero points");
  for (size_t i = 1; i < node.inputs.size(); ++i)
    if (node.inputs[i] != kNone) return unknown(node, " with learned steps");
  return ok_status();
}

Status Integerizer::fake_quantize(const Node& node) {
  FT_TRY(const Bfp x, wide(node, 0));
  return become(node, kBfpFakeQuantize, {x.mantissa, x.exponent}, node.attrs,
                x.is_gradient);
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
