#include "train/gradient_mask.h"

#include <algorithm>
#include <cmath>

#include "methods/head.h"
#include "methods/sparse.h"
#include "train/answers.h"

namespace ft {
namespace {

// One update of plain SGD over all samples, at rate 1, of values that start at
// 0: afterwards they are minus the mean gradient.
StepSettings scoring(const StepSettings& settings, const AdaptableModule& m,
                     size_t steps) {
  StepSettings one = settings;
  one.method = every_entry_of(settings.method, m);
  one.optimizer = plain_sgd(1);
  one.optimizer.accumulate = static_cast<int>(steps);
  one.recompute = Recompute::kIfNeeded;
  one.ram_bytes = SIZE_MAX;
  one.storage = {};
  return one;
}

size_t batch_of(const Graph& base) {
  return static_cast<size_t>(base.value(base.inputs[0]).type.shape[0]);
}

Result<std::vector<float>> scores_of(CompiledStep& step,
                                     const StepSettings& settings,
                                     const MaskSamples& data,
                                     const std::string& key) {
  FT_TRY_STATUS(check_samples(step.program, data.samples));
  FT_TRY(Session session, Session::create(step.program));
  Trainer trainer(
      session, {}, data.samples, data.indices, {}, data.task,
      {.epochs = 1, .shuffle = false, .optimizer = settings.optimizer});
  FT_TRY_STATUS(trainer.check());
  FT_TRY(const StopReason stop,
         trainer.run([](const Progress&) { return true; }));
  if (stop == StopReason::kDiverged) return invalid_input(trainer.message());
  const auto at =
      std::ranges::find(step.adapted.tensors, key, &AdapterTensor::name);
  FT_CHECK(at != step.adapted.tensors.end());
  std::vector<float> scores = adapter_values(session, *at);
  for (float& s : scores) s = std::abs(s);
  return scores;
}

}  // namespace

Result<GradientMasks> gradient_masks(
    const Graph& base, const StepSettings& settings, const MaskSamples& data,
    const std::function<Status(CompiledStep&)>& prepare) {
  FT_TRY(const auto modules, select_modules(base, settings.method));
  const size_t steps = data.indices.size() / batch_of(base);
  GradientMasks result;
  for (const AdaptableModule& m : modules) {
    if (m.node == find_head(base).head && settings.method.num_classes > 0)
      continue;  // replaced by the new head
    const StepSettings one = scoring(settings, m, steps);
    FT_TRY(CompiledStep step, compile_training(base, one));
    FT_TRY_STATUS(prepare(step));
    FT_TRY(const auto scores, scores_of(step, one, data, sparse_values_key(m)));
    result.masks[m.name] = sparse_mask(settings.method, m, scores);
    result.peak_bytes =
        std::max(result.peak_bytes,
                 step.program.arena_bytes + step.program.persistent_bytes);
  }
  return result;
}

}  // namespace ft
