// Softmax and reductions.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "formats/tflite/importer.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

Status import_softmax(OpImport& op) {
  FT_TRY_STATUS(op.expect(1, 1, 1));
  const auto* options = op.options_or_null<tfl::SoftmaxOptions>();
  const double beta = options == nullptr ? 1.0 : options->beta();
  if (!std::isfinite(beta)) return op.error(fmt::format("beta is {}", beta));
  FT_TRY(const ValueId x, op.input(0));
  return op.emit(ops::kSoftmax, {x}, {{"beta", beta}});
}

Status import_log_softmax(OpImport& op) {
  FT_TRY_STATUS(op.expect(1, 1, 1));
  FT_TRY(const ValueId x, op.input(0));
  return op.emit(ops::kLogSoftmax, {x});
}

Status import_reduce(OpImport& op, const char* kind) {
  FT_TRY_STATUS(op.expect(2, 2, 1));
  const auto* options = op.options_or_null<tfl::ReducerOptions>();
  const bool keep_dims = options != nullptr && options->keep_dims();
  FT_TRY(const ValueId x, op.input(0));
  FT_TRY(std::vector<int64_t> axes, op.ints(1));
  for (int64_t& axis : axes) {
    FT_TRY(axis, normal_axis(op, axis, op.shape(x).rank()));
  }
  std::ranges::sort(axes);
  // Not std::ranges::unique: Clang 14 rejects GCC 12's subrange.
  axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
  return op.emit(ops::kReduce, {x},
                 {{"kind", std::string(kind)},
                  {"axes", axes},
                  {"keep_dims", int64_t{keep_dims}}});
}

Status import_mean(OpImport& op) { return import_reduce(op, "mean"); }
Status import_sum(OpImport& op) { return import_reduce(op, "sum"); }
Status import_reduce_max(OpImport& op) { return import_reduce(op, "max"); }

constexpr OperatorImporter kImporters[] = {
    {tfl::BuiltinOperator::SOFTMAX, import_softmax},
    {tfl::BuiltinOperator::LOG_SOFTMAX, import_log_softmax},
    {tfl::BuiltinOperator::MEAN, import_mean},
    {tfl::BuiltinOperator::SUM, import_sum},
    {tfl::BuiltinOperator::REDUCE_MAX, import_reduce_max},
};

}  // namespace

std::span<const OperatorImporter> row_importers() { return kImporters; }

}  // namespace ft
