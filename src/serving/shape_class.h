// Adapters of one shape: one compiled program of the base, in which they differ
// by parameter values only, and the sessions that run it.
//
// The program is planned once; an adapter is a block of the size of its
// persistent region. Thread-safe: a session belongs to one run at a time, and
// there are as many as runs have been under way at once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "exec/session.h"
#include "serving/batch_answers.h"
#include "serving/held_bytes.h"
#include "serving/served_adapter.h"
#include "train/step.h"

namespace ft {

class ShapeClass {
 public:
  // The same shape for so many samples, in the order of its nodes. Not for
  // integer precision, whose exponents may be of all samples of a tensor.
  using Compile = std::function<Result<CompiledStep>(size_t samples)>;

  // Refuses a program that writes to its parameters. Without `compile`
  // requests are not batched. `base` is the graph that it was compiled from,
  // whose constants are not this shape's; null: they are.
  static Result<std::shared_ptr<ShapeClass>> create(CompiledStep step,
                                                    const Graph* base = nullptr,
                                                    Compile compile = {});

  const CompiledStep& step() const { return step_; }
  const Program& program() const { return step_.program; }
  // No other one has or had it.
  uint64_t serial() const { return serial_; }
  const TensorType& input_type() const { return program().inputs[0].type; }
  size_t feature_size() const;
  size_t answer_size() const;
  // A block with the program's own initial values.
  Result<std::shared_ptr<GuardedBuffer>> new_block() const;
  // Bytes that a block takes.
  size_t block_bytes() const;

  // A session for one run; it goes back when the lease ends.
  class Lease {
   public:
    Lease(ShapeClass* from, std::unique_ptr<Session> session)
        : from_(from), session_(std::move(session)) {}
    Lease(Lease&&) = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    Session& session() { return *session_; }

   private:
    ShapeClass* from_;
    std::unique_ptr<Session> session_;
  };
  // With the adapter's values in place.
  Result<Lease> lease(const ServedAdapter& adapter);

  Result<std::unique_ptr<BatchProgram>> compile_batch(size_t samples) const;
  ShapeBatches& batches() { return batches_; }

  // Arenas and scratch of the sessions that exist; and the program itself with
  // its constants (held_bytes.h).
  size_t session_bytes() const;
  size_t derived_bytes() const { return derived_bytes_; }

  // Of all loads of this shape the quickest, with this one: what a load costs
  // where nothing interrupts it.
  double least_load_us(double load_us);

 private:
  ShapeClass(CompiledStep step, const Graph* base, Compile compile)
      : step_(std::move(step)),
        compile_(std::move(compile)),
        derived_bytes_(held_bytes(step_, base)) {}

  static uint64_t next_serial();

  const uint64_t serial_ = next_serial();
  CompiledStep step_;
  Compile compile_;
  const size_t derived_bytes_;
  ShapeBatches batches_;
  mutable std::mutex mutex_;
  double least_load_us_ = 0;
  std::vector<std::unique_ptr<Session>> idle_;
  size_t sessions_ = 0;
};

// kUsage on another number of features than the model's.
Status check_features(const ServedAdapter& adapter,
                      std::span<const float> features);
// One answer: features to the input's own type, a run, the answer in real
// numbers. `answer` gets the answer's size. Fails as check_features().
Status answer_with(const ServedAdapter& adapter,
                   std::span<const float> features, std::vector<float>& answer);

}  // namespace ft
