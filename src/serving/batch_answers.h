// Answers to several requests at once, whatever adapters they name: those of
// one shape share runs of 8, 4 or 2 samples, the rest runs alone.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/result.h"
#include "serving/batch_program.h"
#include "serving/served_adapter.h"

namespace ft {

struct BatchRequest {
  ServedAdapterPtr adapter;
  std::span<const float> features;
  std::vector<float>* answer;
};

// The batch programs of one shape. A program is compiled when it is first
// needed and proven then: its first answers are computed one by one too, and
// must be the same, to the bit where all kernels are exact. A shape whose
// model does not batch is served one by one from then on. Thread-safe.
class ShapeBatches {
 public:
  // Answers requests of this shape, at most kLargest and a power of two; false:
  // not batched, nothing was answered.
  Result<bool> answer(const ShapeClass& shape,
                      std::span<const BatchRequest> requests);
  size_t memory_bytes() const;

  static constexpr size_t kLargest = 8;

 private:
  struct Batch {
    std::mutex running;
    std::unique_ptr<BatchProgram> program;  // null: not made, or refused
    bool made = false, proven = false;
    size_t bytes = 0;
  };

  mutable std::mutex mutex_;
  std::map<size_t, std::unique_ptr<Batch>> batches_;
};

// Fails before anything is computed where a request has not as many features
// as its model takes. The number of requests that shared a run.
Result<size_t> answer_batch(std::span<const BatchRequest> requests);

}  // namespace ft
