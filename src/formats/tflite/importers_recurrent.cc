// Sequence layers. States are variables that start at zero in every run.
#include <fmt/format.h>

#include <cmath>

#include "formats/tflite/importer.h"
#include "kernels/kernel.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

// Operands of UNIDIRECTIONAL_SEQUENCE_LSTM. Each group stands in the order
// input, forget, cell, output gate.
constexpr size_t kInputWeights = 1, kRecurrentWeights = 5, kPeephole = 9,
                 kBias = 12, kProjection = 16, kProjectionBias = 17,
                 kOutputState = 18, kCellState = 19, kLayerNorm = 20,
                 kLstmOperands = 24;

Status refuse_extras(const OpImport& op) {
  const auto any = [&](size_t first, size_t count) {
    for (size_t i = first; i < first + count; ++i)
      if (op.has_input(i)) return true;
    return false;
  };
  if (any(kPeephole, 3)) return op.error("peephole weights are not supported");
  if (any(kProjection, 1) || any(kProjectionBias, 1))
    return op.error("a projection is not supported");
  if (any(kLayerNorm, 4))
    return op.error("layer normalization is not supported");
  for (const size_t state : {kOutputState, kCellState})
    if (!op.is_variable(state))
      return op.error(fmt::format(
          "input {}, a state, must be a variable that starts at zero", state));
  return ok_status();
}

// Without an input gate it is coupled to the forget gate; then none of its
// three tensors may be there.
Result<bool> is_coupled(const OpImport& op) {
  const bool coupled = !op.has_input(kInputWeights);
  for (const size_t i : {kRecurrentWeights, kBias})
    if (op.has_input(i) == coupled)
      return op.error("the tensors of the input gate are incomplete");
  return coupled;
}

Result<Attrs> lstm_attrs(const OpImport& op,
                         const tfl::UnidirectionalSequenceLSTMOptions& options,
                         bool coupled) {
  if (options.fused_activation_function() != tfl::ActivationFunctionType::TANH)
    return op.error("only the activation TANH is supported");
  if (options.diagonal_recurrent_tensors())
    return op.error("diagonal recurrent weights are not supported");
  // proj_clip limits a projection only, and there is none.
  const float clip = options.cell_clip();
  if (!std::isfinite(clip) || clip < 0)
    return op.error(fmt::format("cell_clip is {}", clip));
  return Attrs{{"time_major", int64_t{options.time_major()}},
               {"coupled", int64_t{coupled}},
               {"cell_clip", double{clip}}};
}

Result<ValueId> sequence_input(OpImport& op, bool time_major) {
  FT_TRY(const ValueId x, op.input(0));
  if (op.type(x).dtype != DType::kF32)
    return op.error(fmt::format(
        "activations are {}; only float32 ones are supported (or precision "
        "f32)",
        name_of(op.type(x).dtype)));
  if (op.shape(x).rank() != 3)
    return op.error(
        fmt::format("needs 3 dimensions, x is {}", op.shape(x).to_string()));
  if (op.changes_batch() && op.batch_axis() != (time_major ? 1 : 0))
    return op.error(fmt::format(
        "axis {} is time, not the batch, so the batch cannot be changed",
        op.batch_axis()));
  return x;
}

// One fully connected layer makes the input half of all gates at all steps; the
// recurrent half is a loop.
Status import_lstm(OpImport& op) {
  FT_TRY_STATUS(op.expect(1, kLstmOperands, 1));
  FT_TRY(const auto* options,
         op.options<tfl::UnidirectionalSequenceLSTMOptions>());
  FT_TRY_STATUS(refuse_extras(op));
  FT_TRY(const bool coupled, is_coupled(op));
  FT_TRY(const Attrs attrs, lstm_attrs(op, *options, coupled));
  FT_TRY(const ValueId x, sequence_input(op, options->time_major()));
  const auto gates = [&](size_t first) {
    std::vector<size_t> operands;
    for (size_t i = coupled ? 1 : 0; i < 4; ++i) operands.push_back(first + i);
    return operands;
  };
  FT_TRY(const ValueId w,
         op.joined(gates(kInputWeights), "input_gates/weight"));
  FT_TRY(const ValueId r,
         op.joined(gates(kRecurrentWeights), "recurrent_gates/weight"));
  FT_TRY(const ValueId bias, op.joined(gates(kBias), "input_gates/bias"));
  FT_TRY(const auto halves,
         op.module("input_gates", ops::kFullyConnected, {x, w, bias},
                   {{"act", int64_t{FT_ACT_NONE}}, {"keep_num_dims", 1}}));
  FT_TRY(const auto results,
         op.module("recurrent_gates", ops::kLstm, {halves[0], r}, attrs));
  return op.finish(0, results[1]);
}

// SVDF: every unit is the sum of `rank` filters, a filter being a vector over
// the features and one over the last `memory` steps. A run is one step from a
// zero state, so only the newest column of the time weights takes part.
// Operands: x [batch, in], feature weights [filters, in], time weights
// [filters, memory], bias [units] (optional), state. Source: Nakkiran et al.,
// "Compressing Deep Neural Networks using a Rank-Constrained Topology", 2015.
Status import_svdf(OpImport& op) {
  FT_TRY_STATUS(op.expect(3, 5, 1));
  FT_TRY(const auto* options, op.options<tfl::SVDFOptions>());
  FT_TRY(const int64_t act, act_of(op, options->fused_activation_function()));
  FT_TRY(const ValueId x, op.input(0));
  if (op.type(x).dtype != DType::kF32)
    return op.error(fmt::format("activations are {}, only float32 is supported",
                                name_of(op.type(x).dtype)));
  if (!op.is_variable(4))
    return op.error("input 4, the state, must be a variable");
  FT_TRY(const ValueId features, op.input(1, As::kFloat));
  FT_TRY(const ValueId time, op.input(2, As::kFloat));
  FT_TRY(const ValueId bias, op.optional_input(3, As::kFloat));
  const Shape &f = op.shape(features), &t = op.shape(time);
  const int64_t rank = options->rank();
  if (f.rank() != 2 || t.rank() != 2 || f[0] != t[0] || rank < 1 ||
      f[0] % rank != 0)
    return op.error(fmt::format("weights are {} and {} at rank {}",
                                f.to_string(), t.to_string(), rank));
  const int64_t filters = f[0], newest = t[1] - 1;
  FT_TRY(const auto made,
         op.module("features", ops::kFullyConnected, {x, features}));
  const int64_t batch = op.shape(made[0])[0];
  FT_TRY(const ValueId column,
         op.inner(ops::kSlice, {time},
                  {{"begin", std::vector<int64_t>{0, newest}},
                   {"size", std::vector<int64_t>{filters, 1}}}));
  FT_TRY(const ValueId weights,
         op.inner(ops::kReshape, {column},
                  {{"shape", std::vector<int64_t>{filters}}}));
  FT_TRY(const ValueId product,
         op.inner(ops::kBinary, {made[0], weights}, {{"kind", "mul"}}));
  FT_TRY(
      const ValueId parts,
      op.inner(ops::kReshape, {product},
               {{"shape", std::vector<int64_t>{batch, filters / rank, rank}}}));
  const Attrs over_rank{
      {"kind", "sum"}, {"axes", std::vector<int64_t>{2}}, {"keep_dims", 0}};
  if (bias == kNone && act == FT_ACT_NONE)
    return op.emit(ops::kReduce, {parts}, over_rank);
  FT_TRY(const ValueId sum, op.inner(ops::kReduce, {parts}, over_rank));
  constexpr const char* kKinds[] = {"", "relu", "relu6",
                                    "relu_n1"};  // FT_ACT_*
  if (bias == kNone)
    return op.emit(ops::kUnary, {sum}, {{"kind", kKinds[act]}});
  return op.emit(ops::kBinary, {sum, bias}, {{"kind", "add"}, {"act", act}});
}

constexpr OperatorImporter kImporters[] = {
    {tfl::BuiltinOperator::SVDF, import_svdf},
    {tfl::BuiltinOperator::UNIDIRECTIONAL_SEQUENCE_LSTM, import_lstm},
};

}  // namespace

std::span<const OperatorImporter> recurrent_importers() { return kImporters; }

}  // namespace ft
