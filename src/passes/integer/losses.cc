#include "ops/all_ops.h"
#include "passes/integer/integerizer.h"

namespace ft {

using namespace ops;  // the names of ops

Status Integerizer::softmax(const Node& node) {
  FT_TRY(const Bfp x, wide(node, 0));
  return become(node, kBfpSoftmax, {x.mantissa, x.exponent}, node.attrs, false);
}

Status Integerizer::entropy(const Node& node) {
  FT_TRY(const Bfp x, wide(node, 0));
  return become(node, kBfpSoftmaxCrossEntropy,
                {x.mantissa, x.exponent, node.inputs[1]}, {}, false);
}

// The gradient of the loss by itself.
Status Integerizer::check_seed(const Node& node) const {
  const Value& seed = graph_.value(node.inputs[2]);
  if (seed.kind == ValueKind::kConstant && data_of<float>(seed)[0] == 1.0f)
    return ok_status();
  return unknown(node, " of a loss that is not the last value");
}

Status Integerizer::entropy_grad(const Node& node) {
  FT_TRY_STATUS(check_seed(node));
  FT_TRY(const Bfp x, wide(node, 0));
  return become(node, kBfpSoftmaxCrossEntropyGrad,
                {x.mantissa, x.exponent, node.inputs[1]}, {}, true);
}

// The target counts in 1/64 of the steps of the model's int8 output.
Result<ValueId> Integerizer::target(const Node& node) {
  const ValueId v = node.inputs[1];
  if (!is_float(v)) return v;
  Value& value = graph_.value(v);
  FT_TRY(const Bfp pred, in(node, 0));
  if (value.kind != ValueKind::kInput)
    return unknown(node, " with a computed target");
  const TensorType& type = graph_.value(pred.mantissa).type;
  const float scale =
      type.dtype == DType::kS8 ? type.quant.scale[0] : 1.0f / 16;
  value.type.dtype = DType::kS32;
  value.type.quant = QuantParams::per_tensor(scale / 64, 0);
  return v;
}

Status Integerizer::mse(const Node& node) {
  FT_TRY(const ValueId t, target(node));
  FT_TRY(const Bfp pred, wide(node, 0));
  return become(node, kBfpMseLoss, {pred.mantissa, pred.exponent, t}, {},
                false);
}

Status Integerizer::mse_grad(const Node& node) {
  FT_TRY_STATUS(check_seed(node));
  FT_TRY(const ValueId t, target(node));
  FT_TRY(const Bfp pred, wide(node, 0));
  return become(node, kBfpMseLossGrad, {pred.mantissa, pred.exponent, t}, {},
                true);
}

}  // namespace ft
