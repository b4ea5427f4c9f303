#include "serving/batch_program.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/fully_connected/grouped.h"
#include "kernels/side_conv2d/side_conv2d.h"

namespace ft {
namespace {

constexpr size_t kWeight = 1, kLoraB = 4, kGain = 5;  // of a linear layer
constexpr size_t kSideA = 3, kSideB = 5;  // of one with a side in integers

const Node& node_of(const Program& program, size_t c) {
  return program.graph.node(program.calls[c].node);
}

// The row that computes a whole batch where each sample has a side of its own:
// inputs first .. last become lists, of a pointer for each of `rows`.
struct GroupedRow {
  ft_kernel_fn run = nullptr;
  size_t first = 0, last = 0, rows = 0;
};

[[maybe_unused]] bool has_input(const KernelCall& call, size_t i) {
  return call.in.size() > i && call.in[i].space != Space::kNone;
}

#if defined(__x86_64__)
// h = A x: the bits of the C99 row, whatever row the batch has.
GroupedRow grouped_down_projection(const KernelCall& call) {
  const auto& p =
      *reinterpret_cast<const ft_fully_connected_params*>(call.params.data());
  bool is_plain = p.act == FT_ACT_NONE && p.rank == 0;
  for (size_t i = kWeight + 1; i < call.in.size(); ++i)
    is_plain = is_plain && !has_input(call, i);
  if (!is_plain || ft_fully_connected_s8_avx512vnni_available() == 0) return {};
  return {&ft_fully_connected_grouped_s8f32_avx512vnni, kWeight, kWeight,
          static_cast<size_t>(p.rows)};
}

GroupedRow grouped_linear(const KernelCall& call) {
  const auto& p =
      *reinterpret_cast<const ft_fully_connected_params*>(call.params.data());
  if (p.rank == 0 || has_input(call, kGain)) return {};
  return {&ft_fully_connected_grouped_s8_avx512vnni, kLoraB, kLoraB,
          static_cast<size_t>(p.rows)};
}

GroupedRow grouped_side(const KernelCall& call) {
  const auto& p =
      *reinterpret_cast<const ft_side_conv2d_params*>(call.params.data());
  if (p.round_once == 0) return {};  // a convolution
  return {&ft_side_conv2d_grouped_s8_avx512vnni, kSideA, kSideB,
          static_cast<size_t>(p.conv.batch)};
}
#endif

// Of call `c` of both programs.
GroupedRow grouped_row([[maybe_unused]] const Program& one,
                       [[maybe_unused]] const Program& many,
                       [[maybe_unused]] size_t c) {
#if defined(__x86_64__)
  const KernelCall& call = many.calls[c];
  if (one.calls[c].kernel->run == &ft_fully_connected_s8f32_c99)
    return grouped_down_projection(call);
  if (call.kernel->run == &ft_fully_connected_s8_avx512vnni)
    return grouped_linear(call);
  if (call.kernel->run == &ft_side_conv2d_s8_avx512vnni)
    return grouped_side(call);
#endif
  return {};
}

size_t bytes_of(const Program& program, ValueId value) {
  return program.graph.value(value).type.num_bytes();
}

}  // namespace

BatchProgram::BatchProgram(CompiledStep one, CompiledStep many, size_t size)
    : one_(std::move(one)),
      many_(std::move(many)),
      size_(size),
      arena_(many_.program.arena_bytes),
      scratch_(
          std::max(one_.program.scratch_bytes, many_.program.scratch_bytes)),
      is_own_(static_cast<size_t>(many_.program.graph.num_values()), false) {}

Result<std::unique_ptr<BatchProgram>> BatchProgram::create(CompiledStep one,
                                                           CompiledStep many,
                                                           size_t size) {
  std::unique_ptr<BatchProgram> made(
      new BatchProgram(std::move(one), std::move(many), size));
  FT_TRY_STATUS(made->compare_programs());
  FT_TRY_STATUS(made->link());
  return made;
}

Status BatchProgram::compare_programs() const {
  const Program &one = one_.program, &many = many_.program;
  bool equal = one.graph.num_values() == many.graph.num_values() &&
               one.calls.size() == many.calls.size() &&
               one.persistent_bytes == many.persistent_bytes &&
               is_batched(many.inputs[0].value);
  for (size_t c = 0; equal && c < one.calls.size(); ++c)
    equal = one.calls[c].node == many.calls[c].node &&
            node_of(one, c).op == node_of(many, c).op;
  for (const Binding& output : many.outputs)
    equal = equal && is_batched(output.value);
  if (equal) return ok_status();
  return invalid_input(
      fmt::format("the model is another one with {} samples than with one: "
                  "its requests run one by one",
                  size_));
}

// By bytes: axis 0 of activations counts samples, or rows of all samples.
bool BatchProgram::is_batched(ValueId value) const {
  const size_t one = bytes_of(one_.program, value);
  return bytes_of(many_.program, value) == size_ * one;
}

std::span<std::byte> BatchProgram::part(const Binding& binding, size_t i) {
  const size_t bytes = binding.type.num_bytes() / size_;
  return arena_.bytes().subspan(binding.ref.offset + i * bytes, bytes);
}

Status BatchProgram::link() {
  for (size_t c = 0; c < many_.program.calls.size(); ++c)
    FT_TRY_STATUS(link_call(c));
  return ok_status();
}

// Reads an adapter's values, or what was computed from them alone?
Status BatchProgram::link_call(size_t c) {
  const Program& many = many_.program;
  const KernelCall& call = many.calls[c];
  const Node& node = node_of(many, c);
  // Views between two calls have none of their own.
  for (NodeId n = 0; n < call.node; ++n) {
    const Node& before = many.graph.node(n);
    if (before.op->is_view && is_own_[static_cast<size_t>(before.inputs[0])])
      is_own_[static_cast<size_t>(before.outputs[0])] = true;
  }
  bool reads_adapter = false;
  for (size_t i = 0; i < node.inputs.size(); ++i)
    reads_adapter |= call.in[i].space == Space::kPersistent ||
                     (node.inputs[i] != kNone &&
                      is_own_[static_cast<size_t>(node.inputs[i])]);
  if (!reads_adapter) {
    add_shared_step(c);
    return ok_status();
  }
  if (add_grouped_step(c)) return ok_status();
  for (const ValueId v : node.outputs)
    if (!is_batched(v)) is_own_[static_cast<size_t>(v)] = true;
  for (size_t i = 0; i < size_; ++i) FT_TRY_STATUS(add_sample_step(c, i));
  return ok_status();
}

void BatchProgram::add_shared_step(size_t c) {
  const KernelCall& call = many_.program.calls[c];
  Step step{.run = call.kernel->run, .params = call.params.data(), .args = {}};
  const auto list = [&](const std::vector<BufferRef>& refs) {
    pointers_.push_back(std::make_unique<void*[]>(refs.size() + 1));
    void** first = pointers_.back().get();
    for (size_t i = 0; i < refs.size(); ++i)
      first[i] = refs[i].space == Space::kArena
                     ? arena_.data() + refs[i].offset
                     : const_cast<std::byte*>(refs[i].constant.data());
    return first;
  };
  step.args = {list(call.in), const_cast<const void* const*>(list(call.aux)),
               list(call.out), scratch_.data(), nullptr};
  steps_.push_back(step);
  ++shared_;
}

// Sample r / rows of a row's pointers is patched for each run.
bool BatchProgram::add_grouped_step(size_t c) {
  const KernelCall& call = many_.program.calls[c];
  const GroupedRow row = grouped_row(one_.program, many_.program, c);
  if (row.run == nullptr || row.rows % size_ != 0) return false;
  for (size_t i = 0; i < call.in.size(); ++i)
    if ((call.in[i].space == Space::kPersistent) !=
        (i >= row.first && i <= row.last))
      return false;
  add_shared_step(c);
  Step& step = steps_.back();
  step.run = row.run;
  for (size_t i = row.first; i <= row.last; ++i) {
    pointers_.push_back(std::make_unique<void*[]>(row.rows));
    void** list = pointers_.back().get();
    const_cast<void**>(step.args.in)[i] = list;
    for (size_t r = 0; r < row.rows; ++r)
      patches_.push_back({&list[r], call.in[i].offset, r / (row.rows / size_)});
  }
  return true;
}

Result<void*> BatchProgram::address(size_t c, ValueId value,
                                    const BufferRef& one, const BufferRef& many,
                                    size_t sample) {
  switch (one.space) {
    case Space::kNone:
    case Space::kPersistent: return nullptr;
    case Space::kConstant: return const_cast<std::byte*>(one.constant.data());
    case Space::kArena: break;
  }
  if (is_own_[static_cast<size_t>(value)]) {
    while (own_arenas_.size() < size_)
      own_arenas_.push_back(
          std::make_unique<GuardedBuffer>(one_.program.arena_bytes));
    return own_arenas_[sample]->data() + one.offset;
  }
  const size_t bytes = bytes_of(one_.program, value);
  if (is_batched(value)) return arena_.data() + many.offset + sample * bytes;
  if (bytes_of(many_.program, value) == bytes)
    return arena_.data() + many.offset;
  return invalid_input(
      fmt::format("'{}' does not lie sample by sample in a batch of {}",
                  node_of(many_.program, c).name, size_));
}

Status BatchProgram::add_sample_step(size_t c, size_t sample) {
  const KernelCall &one = one_.program.calls[c], &many = many_.program.calls[c];
  const Node& node = node_of(many_.program, c);
  Step step{.run = one.kernel->run, .params = one.params.data(), .args = {}};
  Status status;
  const auto list = [&](const std::vector<BufferRef>& refs,
                        const std::vector<BufferRef>& batch,
                        const std::vector<ValueId>& values) {
    pointers_.push_back(std::make_unique<void*[]>(refs.size() + 1));
    void** first = pointers_.back().get();
    for (size_t i = 0; i < refs.size(); ++i) {
      if (refs[i].space == Space::kPersistent)
        patches_.push_back({&first[i], refs[i].offset, sample});
      const auto at = address(c, i < values.size() ? values[i] : kNone, refs[i],
                              batch[i], sample);
      if (at.ok())
        first[i] = *at;
      else
        status = at.status();
    }
    return first;
  };
  step.args = {list(one.in, many.in, node.inputs),
               const_cast<const void* const*>(list(one.aux, one.aux, {})),
               list(one.out, many.out, node.outputs), scratch_.data(), nullptr};
  steps_.push_back(step);
  return status;
}

void BatchProgram::run(std::span<const ServedAdapter* const> adapters) {
  for (const Patch& p : patches_)
    *p.at = adapters[p.sample]->block->data() + p.offset;
  for (const Step& step : steps_) step.run(step.params, &step.args);
}

size_t BatchProgram::memory_bytes() const {
  size_t bytes = arena_.size() + scratch_.size() +
                 own_arenas_.size() * one_.program.arena_bytes;
  for (const Program* program : {&one_.program, &many_.program})
    for (const AlignedBytes& derived : program->derived)
      bytes += derived.bytes().size();
  return bytes;
}

}  // namespace ft
