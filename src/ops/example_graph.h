// Test support: graphs of one example node, filled with random values, and an
// interpreter that runs them kernel by kernel with guard bytes around every
// buffer. Not part of the library; not fast.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ops/op_def.h"

namespace ft {

// Bytes between two guards. The data is aligned to 16 bytes and not to 32, so
// that a kernel that asks for more than the ABI promises is found out.
class GuardedBuffer {
 public:
  GuardedBuffer() : GuardedBuffer(0) {}
  explicit GuardedBuffer(size_t bytes);

  std::byte* data() { return start_; }
  const std::byte* data() const { return start_; }
  size_t size() const { return size_; }
  std::span<const std::byte> bytes() const { return {start_, size_}; }
  void assign(std::span<const std::byte> bytes);  // of exactly size()
  bool intact() const;                            // nobody wrote the guards
  template <class T>
  std::span<T> as() {
    return {reinterpret_cast<T*>(start_), size_ / sizeof(T)};
  }

 private:
  std::unique_ptr<std::byte[]> storage_;
  std::byte* start_;
  size_t size_;
};

// By value id. Values without a buffer yet have size 0.
using Buffers = std::vector<GuardedBuffer>;

struct Example {
  Graph graph;  // one node; its outputs are the graph's
  Buffers values;

  const Node& node() const { return graph.node(0); }
  LowerContext context() const {
    return {graph, node(), view_of(graph, node())};
  }
};

struct ExampleOptions {
  uint64_t seed = 1;
  DType real = DType::kF32;  // kF64: every float32 input becomes float64
  // All inputs but the first are frozen constants, so that rows that pack
  // weights have something to pack.
  bool constants = false;
  // int8 constants lie above -128, where the TensorFlow Lite specification
  // keeps weights.
  bool above_minus_128 = false;
};

// The op's node over random inputs: floats in [low, high), int8 anywhere, int32
// that index something in [0, high), other int32 in [-1000, 1000].
Result<Example> build_example(const OpDef& op, const OpExample& example,
                              const ExampleOptions& options);
// Gives every value without a buffer one, and fills graph inputs at random.
void fill_missing(Graph& graph, Buffers& values, const OpExample& example,
                  uint64_t seed);

// The last C99 row that takes the node, which defines what others compute;
// nullptr: none.
const KernelDef* c99_row(const LowerContext& context, const Lowered& lowered);

// Runs one row over `values`. Fails with a sentence if a guard is touched.
// `in_place`: output 0 shares input `inplace_input`'s buffer. `part_units` > 0:
// in parts of so many units (division_of()), with fresh scratch each.
Status run_row(const LowerContext& context, const KernelDef& row,
               Buffers& values, bool in_place = false, int64_t part_units = 0);
// Runs one row with its output over its input, at the distance that the op
// gives for it; the bytes of output 0, or none where they may not overlap.
Result<std::vector<std::byte>> run_overlapping(const LowerContext& context,
                                               const KernelDef& row,
                                               Buffers& values,
                                               int64_t part_units = 0);
// Runs all nodes in order by their C99 rows.
Status evaluate(const Graph& graph, Buffers& values);

// Largest difference relative to the largest |expected|; 0 for equal bits.
double relative_difference(const TensorType& type,
                           std::span<const std::byte> got,
                           std::span<const std::byte> expected);

}  // namespace ft
