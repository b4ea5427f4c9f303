// Runs a Program on this machine.
//
// create() checks everything and allocates once: the arena with exactly
// Program::arena_bytes between guard bytes, the persistent region, the scratch.
// run() cannot fail and does not allocate. Several sessions may share one
// persistent region (training and evaluation of the same parameters). Not
// thread-safe; one session a thread.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "exec/buffer.h"
#include "plan/program.h"

namespace ft {

class Session {
 public:
  // `program` must outlive the session. Parameters and states start from their
  // initial values.
  static Result<Session> create(const Program& program);
  // Shares the persistent region of `other`; every parameter of `program` must
  // lie there at the same offset with the same type.
  static Result<Session> create_sharing(const Program& program,
                                        const Session& other);
  // Over parameters and states that lie in `region` already: as many bytes as
  // the program's persistent ones.
  static Result<Session> create_on(const Program& program,
                                   std::shared_ptr<GuardedBuffer> region);

  // Another region of the same size for the runs to come, which keep it alive;
  // costs a pointer for each reference to a parameter and does not allocate.
  void use_persistent(std::shared_ptr<GuardedBuffer> region);
  // Lets go of the region: no run before the next use_persistent().
  void release_persistent() { persistent_.reset(); }

  void run();
  // One kernel call of the program, for profiles; run() makes them in order.
  void run_call(size_t c) { calls_[c].run(calls_[c].params, &calls_[c].args); }

  // Bytes of the i-th graph input, to be filled before each run(): run() may
  // overwrite them. Likewise outputs, valid until the next run().
  std::span<std::byte> input(size_t i) { return bytes_of(program_->inputs[i]); }
  std::span<const std::byte> output(size_t i) {
    return bytes_of(program_->outputs[i]);
  }
  template <class T>
  std::span<T> input_as(size_t i) {
    const auto bytes = input(i);
    return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
  template <class T>
  std::span<const T> output_as(size_t i) {
    const auto bytes = output(i);
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
  // A parameter or state by name; empty where there is none of this name.
  std::span<std::byte> persistent(std::string_view name);
  std::span<std::byte> all_persistent() { return persistent_->bytes(); }
  std::shared_ptr<GuardedBuffer> persistent_region() { return persistent_; }
  const Program& program() const { return *program_; }

  // Memory truth: fill the arena with a pattern before the inputs are written;
  // afterwards the bytes up to the last changed one are those that were used.
  void paint_arena(std::byte pattern);
  size_t painted_bytes_used(std::byte pattern);
  bool guards_intact() const;

 private:
  struct Call {
    ft_kernel_fn run;
    const void* params;
    ft_args args;
  };
  // A pointer of a call into the persistent region.
  struct PersistentPointer {
    void** at;
    size_t offset;
  };

  explicit Session(const Program& program) : program_(&program) {}
  Status allocate(std::shared_ptr<GuardedBuffer> persistent);
  void link();
  void* resolve(const BufferRef& ref);
  std::span<std::byte> bytes_of(const Binding& binding);

  const Program* program_;
  std::shared_ptr<GuardedBuffer> persistent_;
  std::unique_ptr<GuardedBuffer> arena_, scratch_;
  std::vector<void*> pointers_;  // in, aux and out of all calls, in order
  std::vector<Call> calls_;
  std::vector<PersistentPointer> persistent_pointers_;
  std::byte* linked_ = nullptr;  // the region that they point into
};

}  // namespace ft
