// Element by element: arithmetic with broadcasting, activations, quantizers.
#include <fmt/format.h>

#include <cmath>

#include "formats/tflite/importer.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

Status emit_binary(OpImport& op, const char* kind, int64_t act) {
  FT_TRY(const ValueId a, op.input(0));
  FT_TRY(const ValueId b, op.input(1));
  return op.emit(ops::kBinary, {a, b},
                 {{"kind", std::string(kind)}, {"act", act}});
}

template <class Options>
Status import_binary_with_act(OpImport& op, const char* kind) {
  FT_TRY_STATUS(op.expect(2, 2, 1));
  const auto* options = op.options_or_null<Options>();
  FT_TRY(const int64_t act,
         act_of(op, options == nullptr ? tfl::ActivationFunctionType::NONE
                                       : options->fused_activation_function()));
  return emit_binary(op, kind, act);
}

Status import_add(OpImport& op) {
  return import_binary_with_act<tfl::AddOptions>(op, "add");
}
Status import_sub(OpImport& op) {
  return import_binary_with_act<tfl::SubOptions>(op, "sub");
}
Status import_mul(OpImport& op) {
  return import_binary_with_act<tfl::MulOptions>(op, "mul");
}
Status import_div(OpImport& op) {
  return import_binary_with_act<tfl::DivOptions>(op, "div");
}
Status import_squared_difference(OpImport& op) {
  FT_TRY_STATUS(op.expect(2, 2, 1));
  return emit_binary(op, "squared_difference", 0);
}

// The int8 kernels compare the stored numbers, so all quantizers must agree.
Status import_extremum(OpImport& op, const char* kind) {
  FT_TRY_STATUS(op.expect(2, 2, 1));
  FT_TRY(const ValueId a, op.input(0));
  FT_TRY(const ValueId b, op.input(1));
  if (op.type(a).quant != op.type(b).quant)
    return op.error("both inputs must have the same scale and zero point");
  return op.emit(ops::kBinary, {a, b},
                 {{"kind", std::string(kind)}, {"act", int64_t{0}}});
}
Status import_maximum(OpImport& op) { return import_extremum(op, "maximum"); }
Status import_minimum(OpImport& op) { return import_extremum(op, "minimum"); }

Status emit_unary(OpImport& op, Attrs attrs) {
  FT_TRY_STATUS(op.expect(1, 1, 1));
  FT_TRY(const ValueId x, op.input(0));
  return op.emit(ops::kUnary, {x}, std::move(attrs));
}

// The kind is the operator's name in lower case.
Status import_unary(OpImport& op) {
  std::string kind(op.kind());
  for (char& c : kind)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (kind == "relu_n1_to_1") kind = "relu_n1";
  return emit_unary(op, {{"kind", kind}});
}

Status import_leaky_relu(OpImport& op) {
  FT_TRY(const auto* options, op.options<tfl::LeakyReluOptions>());
  if (!std::isfinite(options->alpha()))
    return op.error(fmt::format("alpha is {}", options->alpha()));
  return emit_unary(op, {{"kind", std::string("leaky_relu")},
                         {"alpha", double{options->alpha()}}});
}

Status import_gelu(OpImport& op) {
  const auto* options = op.options_or_null<tfl::GeluOptions>();
  const bool approximate = options != nullptr && options->approximate();
  return emit_unary(op, {{"kind", std::string("gelu")},
                         {"approximate", int64_t{approximate}}});
}

// prelu(x) = relu(x) - alpha * relu(-x)
Status import_prelu(OpImport& op) {
  FT_TRY_STATUS(op.expect(2, 2, 1));
  FT_TRY(const ValueId x, op.input(0));
  FT_TRY(const ValueId alpha, op.input(1, As::kFloat));
  if (op.type(x).dtype != DType::kF32)
    return op.error("is supported in float32 only");
  const Attr relu = std::string("relu");
  FT_TRY(const ValueId positive, op.inner(ops::kUnary, {x}, {{"kind", relu}}));
  FT_TRY(const ValueId negated,
         op.inner(ops::kUnary, {x}, {{"kind", std::string("neg")}}));
  FT_TRY(const ValueId negative,
         op.inner(ops::kUnary, {negated}, {{"kind", relu}}));
  FT_TRY(const ValueId scaled, op.inner(ops::kBinary, {negative, alpha},
                                        {{"kind", std::string("mul")}}));
  return op.emit(ops::kBinary, {positive, scaled},
                 {{"kind", std::string("sub")}});
}

Status import_quantize(OpImport& op) {
  FT_TRY_STATUS(op.expect(1, 1, 1));
  FT_TRY(const ValueId x, op.input(0));
  if (op.dequantize()) return op.finish(0, x);
  FT_TRY(const TensorType to, op.output_type());
  return op.emit(ops::kQuantize, {x}, {{"to", std::string(name_of(to.dtype))}});
}

// Of a constant (weights stored as int8 or float16): folded right here.
Status import_dequantize(OpImport& op) {
  FT_TRY_STATUS(op.expect(1, 1, 1));
  if (op.is_constant(0)) {
    FT_TRY(const ValueId folded, op.input(0, As::kFloat));
    return op.finish(0, folded);
  }
  FT_TRY(const ValueId q, op.input(0));
  if (op.dequantize()) return op.finish(0, q);
  return op.emit(ops::kDequantize, {q});
}

constexpr OperatorImporter kImporters[] = {
    {tfl::BuiltinOperator::ADD, import_add},
    {tfl::BuiltinOperator::SUB, import_sub},
    {tfl::BuiltinOperator::MUL, import_mul},
    {tfl::BuiltinOperator::DIV, import_div},
    {tfl::BuiltinOperator::MAXIMUM, import_maximum},
    {tfl::BuiltinOperator::MINIMUM, import_minimum},
    {tfl::BuiltinOperator::SQUARED_DIFFERENCE, import_squared_difference},
    {tfl::BuiltinOperator::RELU, import_unary},
    {tfl::BuiltinOperator::RELU6, import_unary},
    {tfl::BuiltinOperator::RELU_N1_TO_1, import_unary},
    {tfl::BuiltinOperator::LEAKY_RELU, import_leaky_relu},
    {tfl::BuiltinOperator::PRELU, import_prelu},
    {tfl::BuiltinOperator::ELU, import_unary},
    {tfl::BuiltinOperator::HARD_SWISH, import_unary},
    {tfl::BuiltinOperator::LOGISTIC, import_unary},
    {tfl::BuiltinOperator::TANH, import_unary},
    {tfl::BuiltinOperator::GELU, import_gelu},
    {tfl::BuiltinOperator::EXP, import_unary},
    {tfl::BuiltinOperator::LOG, import_unary},
    {tfl::BuiltinOperator::SQRT, import_unary},
    {tfl::BuiltinOperator::RSQRT, import_unary},
    {tfl::BuiltinOperator::SQUARE, import_unary},
    {tfl::BuiltinOperator::ABS, import_unary},
    {tfl::BuiltinOperator::NEG, import_unary},
    {tfl::BuiltinOperator::QUANTIZE, import_quantize},
    {tfl::BuiltinOperator::DEQUANTIZE, import_dequantize},
};

}  // namespace

std::span<const OperatorImporter> elementwise_importers() { return kImporters; }

}  // namespace ft
