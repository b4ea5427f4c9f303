// Several requests in one run, each with an adapter of its own: calls that read
// no adapter's values are made once over the whole batch, others once for each
// sample with that sample's values.
//
// Two programs of one graph, for one sample and for `size` of them, agree node
// by node. Activations lie in the batch's arena, where a sample's part is a run
// of bytes, so the one-sample call works on it in place. What is computed from
// adapters' values alone (a depthwise layer's difference) has an arena for each
// sample. Fully connected int8 layers are made once over the batch even with
// sides, by a kernel that takes a pointer to each row's own factor.
//
// One run at a time. Answers are those of one sample at a time: to the bit
// where kernels are exact, which matches() proves.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "exec/buffer.h"
#include "serving/served_adapter.h"
#include "train/step.h"

namespace ft {

class BatchProgram {
 public:
  // Both compiled in the order of the graph's nodes. Fails with kInvalidInput
  // where the two differ in more than the number of samples.
  static Result<std::unique_ptr<BatchProgram>> create(CompiledStep one,
                                                      CompiledStep many,
                                                      size_t size);

  size_t size() const { return size_; }
  const Program& program() const { return many_.program; }
  // Bytes of sample `i` of the input.
  std::span<std::byte> input(size_t i) {
    return part(many_.program.inputs[0], i);
  }
  std::span<const std::byte> output(size_t output, size_t i) {
    return part(many_.program.outputs[output], i);
  }
  // Adapter `i` is sample i's; all of the shape that this is compiled for.
  void run(std::span<const ServedAdapter* const> adapters);

  size_t memory_bytes() const;
  // Of all calls, those made once for a whole batch.
  size_t shared_calls() const { return shared_; }
  size_t calls() const { return many_.program.calls.size(); }

 private:
  // A pointer into an adapter's block: of sample `sample`.
  struct Patch {
    void** at;
    size_t offset, sample;
  };
  struct Step {
    ft_kernel_fn run;
    const void* params;
    ft_args args;
  };

  BatchProgram(CompiledStep one, CompiledStep many, size_t size);
  Status compare_programs() const;
  Status link();
  Status link_call(size_t c);
  Status add_sample_step(size_t c, size_t sample);
  void add_shared_step(size_t c);
  bool add_grouped_step(size_t c);
  Result<void*> address(size_t c, ValueId value, const BufferRef& one,
                        const BufferRef& many, size_t sample);
  bool is_batched(ValueId value) const;
  std::span<std::byte> part(const Binding& binding, size_t i);

  CompiledStep one_, many_;
  size_t size_;
  GuardedBuffer arena_, scratch_;
  std::vector<std::unique_ptr<GuardedBuffer>> own_arenas_;  // of each sample
  std::vector<bool> is_own_;  // by value: lies in the samples' own arenas
  // Lists of pointers stay where they are: calls point to them.
  std::vector<std::unique_ptr<void*[]>> pointers_;
  std::vector<Step> steps_;
  std::vector<Patch> patches_;
  size_t shared_ = 0;
};

}  // namespace ft
