#include "serving/batch_answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "serving/shape_class.h"
#include "train/answers.h"
#include "train/samples.h"

namespace ft {
namespace {

// Of float kernels, whose larger products may sum in another order.
constexpr float kTolerance = 1e-4f;

bool is_exact(const Program& program) {
  return std::ranges::all_of(program.calls, [](const KernelCall& call) {
    return call.kernel->tolerance == 0;
  });
}

bool agree(const std::vector<float>& a, const std::vector<float>& b,
           bool exact) {
  if (exact || a.size() != b.size()) return a == b;
  float largest = 0;
  for (const float v : a) largest = std::max(largest, std::abs(v));
  for (size_t i = 0; i < a.size(); ++i)
    if (!(std::abs(a[i] - b[i]) <= kTolerance * largest)) return false;
  return true;
}

void run_together(BatchProgram& batch, std::span<const BatchRequest> requests) {
  const Program& program = batch.program();
  const ServedAdapter* adapters[ShapeBatches::kLargest];
  for (size_t i = 0; i < requests.size(); ++i) {
    adapters[i] = requests[i].adapter.get();
    write_features(batch.input(i), program.inputs[0].type, 0,
                   requests[i].features);
  }
  batch.run({adapters, requests.size()});
  const TensorType& type = program.outputs[kAnswerOutput].type;
  const auto elements =
      static_cast<size_t>(type.shape.num_elements()) / batch.size();
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].answer->resize(elements);
    read_real(type, batch.output(kAnswerOutput, i), *requests[i].answer);
  }
}

Result<bool> equals_one_by_one(const BatchProgram& batch,
                               std::span<const BatchRequest> requests) {
  const bool exact = is_exact(batch.program());
  std::vector<float> alone;
  for (const BatchRequest& r : requests) {
    FT_TRY_STATUS(answer_with(*r.adapter, r.features, alone));
    if (!agree(alone, *r.answer, exact)) return false;
  }
  return true;
}

}  // namespace

Result<bool> ShapeBatches::answer(const ShapeClass& shape,
                                  std::span<const BatchRequest> requests) {
  Batch* batch = nullptr;
  {
    const std::unique_lock lock(mutex_);
    auto& entry = batches_[requests.size()];
    if (entry == nullptr) entry = std::make_unique<Batch>();
    batch = entry.get();
  }
  const std::unique_lock running(batch->running);
  if (!batch->made) {
    auto made = shape.compile_batch(requests.size());
    if (made.ok()) batch->program = std::move(made).value();
    batch->made = true;
  }
  if (batch->program == nullptr) return false;
  run_together(*batch->program, requests);
  if (batch->proven) return true;
  FT_TRY(batch->proven, equals_one_by_one(*batch->program, requests));
  if (!batch->proven) batch->program.reset();
  const std::unique_lock lock(mutex_);
  batch->bytes = batch->proven ? batch->program->memory_bytes() : 0;
  return batch->proven;
}

size_t ShapeBatches::memory_bytes() const {
  const std::unique_lock lock(mutex_);
  size_t bytes = 0;
  for (const auto& [size, batch] : batches_) bytes += batch->bytes;
  return bytes;
}

Result<size_t> answer_batch(std::span<const BatchRequest> requests) {
  for (const BatchRequest& r : requests)
    FT_TRY_STATUS(check_features(*r.adapter, r.features));
  std::vector<BatchRequest> sorted(requests.begin(), requests.end());
  std::ranges::stable_sort(sorted, std::less<>(), [](const BatchRequest& r) {
    return r.adapter->shape.get();
  });
  size_t together = 0;
  for (auto first = sorted.begin(); first != sorted.end();) {
    ShapeClass& shape = *first->adapter->shape;
    const auto end = std::find_if(first, sorted.end(), [&](const auto& r) {
      return r.adapter->shape.get() != &shape;
    });
    const size_t count = std::bit_floor(
        std::min(static_cast<size_t>(end - first), ShapeBatches::kLargest));
    bool batched = false;
    if (count > 1) {
      FT_TRY(batched,
             shape.batches().answer(
                 shape, {first, first + static_cast<ptrdiff_t>(count)}));
    }
    for (size_t i = 0; i < count; ++i, ++first)
      if (!batched)
        FT_TRY_STATUS(
            answer_with(*first->adapter, first->features, *first->answer));
    together += batched ? count : 0;
  }
  return together;
}

}  // namespace ft
