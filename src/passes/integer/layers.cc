#include "kernels/kernel.h"
#include "ops/all_ops.h"
#include "ops/append.h"
#include "passes/integer/integerizer.h"

namespace ft {

using namespace ops;  // the names of ops

Status Integerizer::int8_layer(const Node& node) {
  if (node.inputs.size() > 5) return unknown(node, " with further inputs");
  FT_TRY(const Bfp h, wide(node, 3));
  FT_TRY(const Bfp b, wide(node, 4));
  std::vector<ValueId> inputs(node.inputs.begin(), node.inputs.end());
  inputs.resize(3, kNone);
  if (h.mantissa != kNone)
    for (const ValueId v : {h.mantissa, h.exponent, b.mantissa, b.exponent})
      inputs.push_back(v);
  return keep_output(node, kBfpSideConv2d, std::move(inputs));
}

Status Integerizer::int8_depthwise(const Node& node) {
  if (node.inputs.size() > 5) return unknown(node, " with further inputs");
  FT_TRY(const Bfp delta, wide(node, 3));
  FT_TRY(const Bfp bias, wide(node, 4));
  std::vector<ValueId> inputs(node.inputs.begin(), node.inputs.end());
  inputs.resize(3, kNone);
  for (const ValueId v :
       {delta.mantissa, delta.exponent, bias.mantissa, bias.exponent})
    inputs.push_back(v);
  while (inputs.back() == kNone) inputs.pop_back();
  return keep_output(node, kBfpSideDepthwiseConv2d, std::move(inputs));
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
