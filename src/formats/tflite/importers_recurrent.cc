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

constexpr OperatorImporter kImporters[] = {
    {tfl::BuiltinOperator::UNIDIRECTIONAL_SEQUENCE_LSTM, import_lstm},
};

}  // namespace

std::span<const OperatorImporter> recurrent_importers() { return kImporters; }

}  // namespace ft
