// A step that has been compiled: kernel calls in order, with every byte placed.
//
// build_program() chooses a kernel row for each node and an order of the calls,
// lays all activations out in one arena, and proves the layout. The unit that
// Session runs and codegen prints. Memory has three lifetimes, named so in the
// fields: *persistent* (parameters, optimizer state), *step* (the arena),
// *scratch* (one kernel).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "ops/op_def.h"
#include "plan/placement.h"

namespace ft {

enum class Space : uint8_t { kNone, kArena, kPersistent, kConstant };

// Where a buffer lies. Constants are views (into the model file or the
// program's own derived constants); the others are offsets into their region.
struct BufferRef {
  Space space = Space::kNone;
  size_t offset = 0;
  std::span<const std::byte> constant = {};
  DType dtype = DType::kU8;  // of a constant's elements
};

struct KernelCall {
  const KernelDef* kernel;
  NodeId node;
  std::vector<std::byte> params;
  std::string_view params_type;  // of C
  std::vector<BufferRef> in, aux, out;
  size_t scratch_bytes = 0;
  Overlap overlap = {};  // what the row allows, used or not
};

// A value that the caller reads or writes by name: inputs, outputs, parameters
// and states.
struct Binding {
  std::string name;
  ValueId value;
  TensorType type;
  BufferRef ref;
};

// One buffer of the arena, for pictures and messages.
struct ArenaBuffer {
  std::string name;
  Lifetime lifetime;  // in calls
  size_t offset;
};

// Bytes that begin on a cache line, as vector loads of packed weights like it.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::span<const std::byte> bytes);
  std::span<const std::byte> bytes() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte[], Free> data_;
  size_t size_;
};

struct Program {
  std::vector<KernelCall> calls;  // as they run: maybe not in node order
  std::vector<Binding> inputs, outputs;
  std::vector<Binding> persistent;  // parameters first, in graph order
  std::vector<ArenaBuffer> arena;

  size_t arena_bytes = 0;
  size_t lower_bound_bytes = 0;   // of the arena
  bool arena_is_optimal = false;  // proven for this order of calls
  size_t persistent_bytes = 0;
  size_t scratch_bytes = 0;
  size_t constant_bytes = 0;  // frozen weights and derived constants (flash)
  int64_t macs = 0;
  int fullest_call = 0;

  Graph graph;  // what the calls were made from; owns the constants' storage
  std::vector<AlignedBytes> derived;  // storage of aux constants

  size_t ram_bytes() const {
    return arena_bytes + persistent_bytes + scratch_bytes;
  }
};

struct PlanOptions {
  // Instruction sets of a device that the program is printed for, besides C99;
  // rows of other machines and of this one are left out then.
  std::optional<std::vector<Isa>> device = {};
  bool without_c99 = false;               // rows of `device` alone
  std::string machine = "this machine";   // for messages
  bool exact = false;                     // only rows that are bit-equal to C99
  bool c99_only = false;                  // only the oracle rows
  std::vector<std::string> without = {};  // symbols of rows left out
  size_t alignment = 16;
  int placement_rounds = 4000;
  // Calls may run in another order than the graph's nodes where the arena gets
  // smaller (plan/operator_order.h); same bits.
  bool reorder = true;
  // Outputs may lie over inputs that die, whole or as far as the row allows.
  bool in_place = true;
  // The model's first activations in so many stripes of rows, never whole
  // (passes/stripes.h); 0: whole; kLeastRam: as needs the least RAM. Same bits,
  // more multiply-accumulates.
  static constexpr int kLeastRam = -1;
  int stripes = 0;
  // Of kLeastRam: the least work that needs no more RAM than this, if any does;
  // 0: no work is too much for less RAM.
  size_t enough_bytes = 0;
};

// Verifies the graph and compiles it. Fails with kInvalidInput naming op,
// dtypes and target where no kernel row fits.
Result<Program> build_program(Graph graph, const PlanOptions& options = {});

// The arena's buffers that are alive at the fullest call, largest first.
std::vector<const ArenaBuffer*> fullest_buffers(const Program& program);

// kDoesNotFit if the program needs more RAM than `ram_bytes`: the sentence
// names the fullest call, its largest tensors and the smallest budget that
// works.
Status check_budget(const Program& program, size_t ram_bytes);

// SHA-256 of what a run computes: calls, parameters, values, and offsets of
// what is persistent. Rows of one op with equal bits count as one; arenas and
// the order of calls, which are chosen for a machine's rows, not at all, so
// that with `exact` programs agree on every machine. Constants are the base
// model's, which has a hash of its own.
std::string plan_hash(const Program& program);

}  // namespace ft
