#include "kernels/kernel.h"
#include "ops/all_ops.h"
#include "ops/append.h"
#include "ops/bfp_ops.h"
#include "ops/conv_common.h"
#include "passes/integer/integerizer.h"

namespace ft {

using namespace ops;  // the names of ops

// An int8 layer as deployed, and inputs 3 to 5, each a value and its exponent.
Status Integerizer::int8_layer(const Node& node) {
  const OpDef& op =
      node.op == &kDepthwiseConv2d ? kBfpSideDepthwiseConv2d : kBfpSideConv2d;
  std::vector<ValueId> inputs(node.inputs.begin(), node.inputs.end());
  inputs.resize(3, kNone);
  for (size_t i = 3; i < node.inputs.size(); ++i) {
    FT_TRY(const Bfp side, wide(node, i));
    inputs.push_back(side.mantissa);
    inputs.push_back(side.exponent);
  }
  while (inputs.back() == kNone) inputs.pop_back();
  return keep_output(node, op, std::move(inputs));
}

// y through the node's fused activation becomes its output.
Status Integerizer::activate(const Node& node, Bfp y) {
  const int64_t act = node.attrs.get_int("act", FT_ACT_NONE);
  if (act != FT_ACT_NONE && act != FT_ACT_RELU)
    return unknown(node, " with an activation but ReLU");
  if (act == FT_ACT_RELU) {
    FT_TRY(const Bfp clamped,
           emit(kBfpRelu, node.name + "/relu", {y.mantissa}, {}, false));
    y.mantissa = clamped.mantissa;
  }
  map_[node.outputs[0]] = y;
  return ok_status();
}

Status Integerizer::conv(const Node& node) {
  if (node.inputs.size() > 3) return unknown(node, " with a float side");
  FT_TRY(const Bfp x, in(node, 0));
  FT_TRY(const Bfp w, wide(node, 1));
  FT_TRY(const Bfp bias, wide(node, 2));
  Attrs attrs = node.attrs;
  attrs.set("act", int64_t{FT_ACT_NONE});
  FT_TRY(const Bfp y, emit(kBfpConv2d, node.name,
                           {x.mantissa, w.mantissa, w.exponent, x.exponent,
                            bias.mantissa, bias.exponent},
                           std::move(attrs), false));
  return activate(node, y);
}

// A 1 x 1 convolution of rows.
Status Integerizer::dense(const Node& node) {
  if (node.inputs.size() > 3) return unknown(node, " with a float side");
  FT_TRY(const Bfp x, in(node, 0));
  FT_TRY(const Bfp w, wide(node, 1));
  FT_TRY(const Bfp bias, wide(node, 2));
  const Shape ws = graph_.value(w.mantissa).type.shape;
  const Shape ys = graph_.value(node.outputs[0]).type.shape;
  const int64_t rows = ys.num_elements() / ws[0];
  FT_TRY(const ValueId x4,
         reshaped(node.name + "/rows", x.mantissa, {rows, 1, 1, ws[1]}));
  FT_TRY(const ValueId w4,
         reshaped(node.name + "/kernel", w.mantissa, {ws[0], 1, 1, ws[1]}));
  FT_TRY(Bfp y,
         emit(kBfpConv2d, node.name,
              {x4, w4, w.exponent, x.exponent, bias.mantissa, bias.exponent},
              {}, false));
  FT_TRY(y.mantissa, reshaped(node.name + "/y", y.mantissa, ys));
  return activate(node, y);
}

Status Integerizer::matmul(const Node& node) {
  FT_TRY(const Bfp a, in(node, 0));
  FT_TRY(const Bfp b, in(node, 1));
  const bool is_gradient = a.is_gradient || b.is_gradient;
  return become(node, kBfpMatmul,
                {a.mantissa, b.mantissa, a.exponent, b.exponent,
                 maybe_state(node, is_gradient)},
                node.attrs, is_gradient);
}

Status Integerizer::input_grad(const Node& node) {
  FT_TRY(const Bfp dy, wide(node, 0));
  FT_TRY(const Bfp w, in(node, 1));
  return become(
      node, kBfpConv2dInputGrad,
      {dy.mantissa, dy.exponent, w.mantissa, w.exponent, add_state(node)},
      node.attrs, true);
}

Status Integerizer::weight_grad(const Node& node) {
  FT_TRY(const Bfp x, in(node, 0));
  FT_TRY(const Bfp dy, wide(node, 1));
  const OpDef& op = node.op == &kConv2dWeightGrad
                        ? kBfpConv2dWeightGrad
                        : kBfpDepthwiseConv2dWeightGrad;
  return become(
      node, op,
      {x.mantissa, dy.mantissa, dy.exponent, x.exponent, add_state(node)},
      node.attrs, true);
}

Status Integerizer::gain_grad(const Node& node) {
  for (const size_t i : {0, 1})
    if (graph_.value(node.inputs[i]).type.dtype != DType::kS8)
      return unknown(node, " of a float layer");
  FT_TRY(const Bfp dy, wide(node, 2));
  std::vector<ValueId> inputs = {
      node.inputs[0], node.inputs[1], dy.mantissa, dy.exponent,
      node.inputs.size() > 3 ? node.inputs[3] : kNone};
  for (const size_t i : {4, 5, 6}) {
    FT_TRY(const Bfp side, wide(node, i));
    inputs.push_back(side.mantissa);
    inputs.push_back(side.exponent);
  }
  inputs.push_back(add_state(node));
  return become(node, kBfpGainGrad, std::move(inputs), node.attrs, true);
}

// A sparse update's sums, or the gradient of its values.
Status Integerizer::sparse(const Node& node) {
  const bool is_gradient = node.op == &kSparseConv2dValuesGrad;
  FT_TRY(const Bfp x, in(node, 0));
  FT_TRY(const Bfp other, wide(node, 1));
  std::vector<ValueId> inputs = {x.mantissa, other.mantissa, other.exponent,
                                 node.inputs[2], x.exponent};
  if (is_gradient) inputs.push_back(add_state(node));
  return become(node,
                is_gradient ? kBfpSparseConv2dValuesGrad : kBfpSparseConv2d,
                std::move(inputs), node.attrs, is_gradient);
}

Status Integerizer::sparse_input_grad(const Node& node) {
  FT_TRY(const Bfp dy, wide(node, 0));
  FT_TRY(const Bfp values, wide(node, 1));
  return become(node, kBfpSparseConv2dInputGrad,
                {dy.mantissa, dy.exponent, values.mantissa, values.exponent,
                 node.inputs[2], add_state(node)},
                node.attrs, true);
}

Result<ValueId> Integerizer::kept_blocks(const Node& node, ValueId x) {
  const Shape all = graph_.value(x).type.shape;
  const int64_t block = node.attrs.get_int("block");
  const int64_t kept = graph_.value(node.inputs[2]).type.shape[0] * block;
  const int64_t pixels = all.num_elements() / all.back();
  FT_TRY(x, reshaped(node.name + "/blocks", x,
                     {pixels, all.back() / block, block}));
  FT_TRY(x, append(graph_, kGather, {x, node.inputs[2]}, {{"axis", 1}},
                   {.name = node.name + "/kept"}));
  return reshaped(node.name + "/x", x, {all[0], all[1], all[2], kept});
}

Result<Bfp> Integerizer::spread_blocks(const Node& node, Bfp dx) {
  const Shape all = graph_.value(node.outputs[0]).type.shape;
  const int64_t block = node.attrs.get_int("block");
  const int64_t pixels = all.num_elements() / all.back();
  const int64_t blocks = graph_.value(node.inputs[2]).type.shape[0];
  FT_TRY(dx.mantissa,
         reshaped(node.name + "/blocks", dx.mantissa, {pixels, blocks, block}));
  // Nothing is added up, so there is no shift to predict.
  FT_TRY(dx, emit(kBfpGatherGrad, node.name + "/spread",
                  {dx.mantissa, dx.exponent, node.inputs[2]},
                  {{"axis", 1}, {"dim", all.back() / block}}, true));
  FT_TRY(dx.mantissa, reshaped(node.name + "/dx", dx.mantissa, all));
  return dx;
}

// Convolutions of the kept channels, which are copied next to each other: it is
// the sums that are long, and they have fast rows.
Status Integerizer::block(const Node& node) {
  const bool is_gradient = node.op == &kBlockConv2dWeightGrad;
  FT_TRY(Bfp x, in(node, 0));
  FT_TRY(const Bfp other, wide(node, 1));
  FT_TRY(x.mantissa, kept_blocks(node, x.mantissa));
  std::vector<ValueId> inputs = {x.mantissa, other.mantissa, other.exponent,
                                 x.exponent};
  if (is_gradient) inputs.push_back(add_state(node));
  Attrs attrs = node.attrs;
  attrs.set("groups", int64_t{1});
  return become(node, is_gradient ? kBfpConv2dWeightGrad : kBfpConv2d,
                std::move(inputs), std::move(attrs), is_gradient);
}

Status Integerizer::block_input_grad(const Node& node) {
  FT_TRY(const Bfp dy, wide(node, 0));
  FT_TRY(const Bfp w, wide(node, 1));
  Attrs attrs = node.attrs;
  attrs.set("groups", int64_t{1});
  FT_TRY(const Bfp kept, emit(kBfpConv2dInputGrad, node.name,
                              {dy.mantissa, dy.exponent, w.mantissa, w.exponent,
                               add_state(node)},
                              std::move(attrs), true));
  FT_TRY(map_[node.outputs[0]], spread_blocks(node, kept));
  return ok_status();
}

// The few weights of a depthwise layer are widened and take up the delta.
Status Integerizer::depthwise_input_grad(const Node& node) {
  FT_TRY(const Bfp dy, wide(node, 0));
  FT_TRY(Bfp w, wide(node, 1));
  FT_TRY(const Bfp delta, wide(node, 2));
  if (delta.mantissa != kNone) {
    FT_TRY(w, emit(kBfpAdd, node.name + "/w",
                   {w.mantissa, w.exponent, delta.mantissa, delta.exponent}, {},
                   false));
  }
  return become(
      node, kBfpDepthwiseConv2dInputGrad,
      {dy.mantissa, dy.exponent, w.mantissa, w.exponent, add_state(node)},
      node.attrs, true);
}

Status Integerizer::avg_pool_grad(const Node& node) {
  FT_TRY(const Bfp dy, wide(node, 0));
  return become(node, kBfpAvgPool2dGrad,
                {dy.mantissa, dy.exponent, add_state(node)}, node.attrs, true);
}

Status Integerizer::max_pool_grad(const Node& node) {
  FT_TRY(const Bfp dy, wide(node, 0));
  FT_TRY(const Bfp x, in(node, 1));
  FT_TRY(const Bfp y, in(node, 2));
  return become(
      node, kBfpMaxPool2dGrad,
      {dy.mantissa, dy.exponent, x.mantissa, y.mantissa, add_state(node)},
      node.attrs, true);
}

}  // namespace ft
