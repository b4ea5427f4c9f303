// DoRA in integers: a layer's gain is m / |W + scaling B A| for each output,
// with a learned magnitude m. Lengths of rows differ by orders of magnitude, so
// both are counted in the base's lengths, which are known when compiling: what
// shares an exponent is near 1.
#include <cmath>

#include "ops/all_ops.h"
#include "ops/append.h"
#include "ops/bfp_common.h"
#include "ops/bfp_ops.h"
#include "ops/conv_common.h"
#include "passes/integer/integerizer.h"

namespace ft {

using namespace ops;  // the names of ops

namespace {

// |w[o]| of an int8 constant. A row of zeros has the length of one of ones.
std::vector<float> lengths_of(const Value& w, int64_t rows) {
  const auto data = data_of<int8_t>(w);
  const bool last = outputs_last(w.type.shape, rows);
  const auto outputs = static_cast<size_t>(rows);
  const size_t columns = data.size() / outputs;
  const std::vector<float> steps = channel_scales(w.type, rows);
  std::vector<int64_t> squares(outputs, 0);
  for (size_t i = 0; i < data.size(); ++i)
    squares[last ? i % outputs : i / columns] += int64_t{data[i]} * data[i];
  std::vector<float> lengths;
  for (size_t o = 0; o < outputs; ++o) {
    const auto sum = static_cast<double>(
        squares[o] > 0 ? squares[o] : static_cast<int64_t>(columns));
    lengths.push_back(
        static_cast<float>(static_cast<double>(steps[o]) * std::sqrt(sum)));
  }
  return lengths;
}

bool is_int8_constant(const Value& v) {
  return v.type.dtype == DType::kS8 && v.kind == ValueKind::kConstant;
}

}  // namespace

std::map<ValueId, std::vector<float>> Integerizer::units_of_params() const {
  std::map<ValueId, std::vector<float>> units;
  for (NodeId n = 0; n < graph_.num_nodes(); ++n) {
    const Node& node = graph_.node(n);
    if (node.op != &kBinary || node.attrs.get_word("kind") != "div") continue;
    const NodeId norm = graph_.value(node.inputs[1]).producer;
    if (norm == kNone || graph_.node(norm).op != &kWeightNorm) continue;
    const Value& w = graph_.value(graph_.node(norm).inputs[0]);
    const Value& magnitude = graph_.value(node.inputs[0]);
    if (magnitude.kind == ValueKind::kParam && is_int8_constant(w))
      units[node.inputs[0]] =
          lengths_of(w, magnitude.type.shape.num_elements());
  }
  return units;
}

Status Integerizer::weight_norm(const Node& node) {
  const Value& w = graph_.value(node.inputs[0]);
  if (!is_int8_constant(w)) return unknown(node, " of float weights");
  FT_TRY(const Bfp a, wide(node, 1));
  FT_TRY(const Bfp b, wide(node, 2));
  const int64_t rows = graph_.value(b.mantissa).type.shape[0];
  std::vector<float> units = lengths_of(w, rows);
  for (float& v : units) v = 1 / v;
  FT_TRY(const auto outputs,
         append_node(
             graph_, kBfpInverseNorm,
             {node.inputs[0], a.mantissa, a.exponent, b.mantissa, b.exponent},
             node.attrs,
             {.name = node.name, .out_quant = {with_units({}, units).quant}}));
  map_[node.outputs[0]] = {
      .mantissa = outputs[0], .exponent = outputs[1], .is_inverse = true};
  return ok_status();
}

Status Integerizer::quotient(const Node& node) {
  FT_TRY(const Bfp a, wide(node, 0));
  const Bfp by = map_.at(node.inputs[1]);
  const TensorType& type = graph_.value(a.mantissa).type;
  if (type.shape != graph_.value(by.mantissa).type.shape)
    return unknown(node, " of lengths of another shape");
  if (!a.is_gradient && !type.quant.is_per_channel() && type.shape[0] > 1)
    return unknown(node, " of lengths by magnitudes in fewer bits");
  return become(node, kBfpMul,
                {a.mantissa, a.exponent, by.mantissa, by.exponent,
                 maybe_state(node, a.is_gradient)},
                {}, a.is_gradient);
}

}  // namespace ft
