#include "codegen/size_report.h"

#include <fmt/format.h>

#include <algorithm>

namespace ft::codegen {
namespace {

size_t round_up(size_t bytes, size_t step) {
  return (bytes + step - 1) / step * step;
}

size_t pointer_bytes(const Target& target) {
  return target.arch.starts_with("rv64") ? 8 : 4;
}

// Of ft_model as print_model_header() declares it: three aligned regions, a
// pointer, the step, the next call.
size_t model_bytes(const DeviceSizes& s, const Target& target) {
  constexpr size_t kAlignment = 16;
  size_t bytes = 0;
  for (const size_t region : {s.arena_bytes, s.persistent_bytes})
    bytes = round_up(bytes + region, kAlignment);
  bytes += s.scratch_bytes;
  if (s.adapter_bytes > 0)
    bytes = round_up(bytes, pointer_bytes(target)) + pointer_bytes(target);
  bytes = round_up(bytes, sizeof(int64_t)) + sizeof(int64_t) + sizeof(uint32_t);
  return round_up(bytes, kAlignment);
}

size_t num_pointers(const KernelCall& call) {
  return call.in.size() + call.aux.size() + call.out.size() + 5;  // of ft_args
}

// Compilers save up to this many registers in a function's frame; the rest is
// alignment.
constexpr size_t kSavedRegisters = 12;

struct Deepest {
  size_t bytes = 0;
  std::string name;
};

Result<size_t> stack_of_kernel(std::string_view name,
                               const KernelSizes& known) {
  const auto found = known.stack.find(name);
  if (found == known.stack.end())
    return internal_error(fmt::format(
        "no stack is known for {}: run tools/kernel_sizes.py", name));
  return found->second;
}

// A call: the function that prepares its arguments, and the kernel.
Result<Deepest> deepest_call(const Program& program, const KernelSizes& known,
                             size_t pointer) {
  Deepest deepest;
  for (const KernelCall& call : program.calls) {
    FT_TRY(const size_t kernel, stack_of_kernel(call.kernel->symbol, known));
    const size_t bytes =
        pointer * (num_pointers(call) + kSavedRegisters) + kernel;
    if (bytes > deepest.bytes)
      deepest = {bytes, fmt::format("{} in {}", call.kernel->symbol,
                                    program.graph.node(call.node).name)};
  }
  return deepest;
}

// Of the deepest function of ft_model.h, in its deepest call.
Result<Deepest> deepest_stack(const DeviceModel& model,
                              const KernelSizes& known) {
  const size_t pointer = pointer_bytes(model.target);
  Deepest deepest;
  for (const Program* program : model.programs()) {
    FT_TRY(Deepest of, deepest_call(*program, known, pointer));
    if (of.bytes > deepest.bytes) deepest = std::move(of);
  }
  deepest.bytes += pointer * kSavedRegisters;
  // ft_train_poll calls through a function that picks the call.
  if (model.sliced)
    deepest.bytes += sizeof(ft_part) + pointer * kSavedRegisters;
  return deepest;
}

// The buffers that are alive at the fullest call.
std::string arena_table(const Program& program) {
  std::string text = "| buffer | bytes |\n|---|---|\n";
  for (const ArenaBuffer* b : fullest_buffers(program))
    text += fmt::format("| {} | {} |\n", b->name.substr(0, b->name.find(';')),
                        b->lifetime.bytes);
  return text;
}

std::string code_table(const std::vector<const SourceFile*>& kernels,
                       const KernelSizes& known) {
  std::string text = "| source | bytes |\n|---|---|\n";
  for (const SourceFile* file : kernels)
    if (const auto found = known.code.find(file->path);
        found != known.code.end())
      text += fmt::format("| {} | {} |\n", file->path, found->second);
  return text;
}

constexpr std::string_view kLinkerCheck =
    R"(/* Give this file to the linker beside your own script, which says what it
 * keeps for the stack in __ft_stack_bytes and all RAM that it uses, the stack
 * too, in __ft_ram_bytes (or pass them with --defsym). */
ASSERT(__ft_stack_bytes >= {stack},
       "the printed functions need {stack} bytes of stack")
ASSERT(__ft_ram_bytes >= {static} + {stack},
       "__ft_ram_bytes does not count {what}")
ASSERT(__ft_ram_bytes <= {ram}, "{target} has {ram} bytes of RAM")
)";

}  // namespace

std::string memory_table(const DeviceSizes& s) {
  std::string text = "| what | where | bytes |\n|---|---|---|\n";
  const auto row = [&text](std::string_view what, std::string_view where,
                           size_t bytes) {
    text += fmt::format("| {} | {} | {} |\n", what, where, bytes);
  };
  row("arena: activations, gradients, inputs and outputs", "RAM",
      s.arena_bytes);
  row("persistent: adapter, optimizer", "RAM", s.persistent_bytes);
  row("of it the adapter's values", "RAM, or flash when swapped",
      s.adapter_bytes);
  row("scratch of one kernel", "RAM", s.scratch_bytes);
  row("`ft_model`: all of that", "RAM", s.model_bytes);
  if (s.front_end_bytes > 0) row("`ft_frontend`", "RAM", s.front_end_bytes);
  if (s.stack_bytes > 0) {
    row("stack of the deepest call", "RAM", s.stack_bytes);
    row("**all RAM**", "RAM", s.ram_bytes());
  }
  row("weights and tables", "flash", s.constant_bytes);
  if (s.code_bytes > 0) row("code, about", "flash", s.code_bytes);
  if (s.store_bytes > 0)
    row("adapters and training states", "flash", s.store_bytes);
  return text;
}

Result<DeviceSizes> sizes_of(const DeviceModel& model) {
  const Program& infer = *model.infer;
  DeviceSizes sizes{.arena_bytes = infer.arena_bytes,
                    .persistent_bytes = infer.persistent_bytes,
                    .scratch_bytes = infer.scratch_bytes,
                    .adapter_bytes = infer.persistent_bytes};
  if (model.train) {
    const Program& train = *model.train;
    sizes.persistent_bytes = train.persistent_bytes;
    // With slices, inference and a step that waits have memory of their own.
    const auto both = [&model](size_t a, size_t b) {
      return model.sliced ? infer_region(a) + b : std::max(a, b);
    };
    sizes.arena_bytes = both(idle_arena_bytes(model), train.arena_bytes);
    sizes.scratch_bytes = both(idle_scratch_bytes(model), train.scratch_bytes);
  }
  sizes.model_bytes = model_bytes(sizes, model.target);
  if (const auto known = kernel_sizes(model.target.arch)) {
    FT_TRY(const Deepest deepest, deepest_stack(model, *known));
    sizes.stack_bytes = std::max(deepest.bytes, store_stack_bytes(model.store));
  }
  return sizes;
}

Result<size_t> stack_of(const std::set<std::string>& kernels,
                        const Target& target) {
  const auto known = kernel_sizes(target.arch);
  if (!known) return size_t{0};
  size_t bytes = 0;
  for (const std::string& name : kernels) {
    FT_TRY(const size_t stack, stack_of_kernel(name, *known));
    bytes = std::max(bytes, stack);
  }
  return bytes + 2 * kSavedRegisters * pointer_bytes(target);
}

size_t idle_arena_bytes(const DeviceModel& model) {
  return std::max(model.infer->arena_bytes,
                  model.features ? model.features->arena_bytes : 0);
}

size_t idle_scratch_bytes(const DeviceModel& model) {
  return std::max(model.infer->scratch_bytes,
                  model.features ? model.features->scratch_bytes : 0);
}

size_t infer_region(size_t bytes) { return round_up(bytes, 64); }

size_t code_bytes(const DeviceModel& model,
                  const std::vector<const SourceFile*>& kernels) {
  const auto known = kernel_sizes(model.target.arch);
  if (!known) return 0;
  size_t bytes = store_code_bytes(model.store);
  for (const SourceFile* file : kernels)
    if (const auto found = known->code.find(file->path);
        found != known->code.end())
      bytes += found->second;
  // Each call is a constant struct, and two instructions for each address.
  for (const Program* program : model.programs())
    for (const KernelCall& call : program->calls)
      bytes += call.params.size() + 8 * num_pointers(call);
  // A row of the table of slices and a case of the switch.
  if (model.train != nullptr && model.sliced)
    bytes += 32 * model.train->calls.size();
  return bytes;
}

std::string size_report(const DeviceModel& model, const DeviceSizes& s,
                        const std::vector<const SourceFile*>& kernels) {
  std::string text = fmt::format("# Sizes of {}\n\n", model.title);
  text += memory_table(s);
  const Program& largest = model.train ? *model.train : *model.infer;
  text += fmt::format("\n## The arena where it is fullest\n\n{}",
                      arena_table(largest));
  const auto known = kernel_sizes(model.target.arch);
  if (!known) return text;
  if (const auto deepest = deepest_stack(model, *known); deepest.ok())
    text += fmt::format("\n## Stack\n\nDeepest: {}, {} bytes.\n", deepest->name,
                        deepest->bytes);
  return text +
         fmt::format("\n## Code of kernels\n\n{}", code_table(kernels, *known));
}

Status check_fits(const DeviceSizes& s, const Target& target) {
  if (target.memory.empty()) return ok_status();
  const uint64_t has_ram = target.memory_bytes("ram");
  const uint64_t has_flash = target.memory_bytes("flash");
  if (s.ram_bytes() <= has_ram && s.flash_bytes() <= has_flash)
    return ok_status();
  const auto row = [](const char* what, size_t needs, uint64_t has) {
    return fmt::format("\n  {:5} {:>9} of {:>9} bytes{}", what, needs, has,
                       needs > has ? "  too large" : "");
  };
  return does_not_fit(
      fmt::format("it does not fit {}:", target.name) +
      row("RAM", s.ram_bytes(), has_ram) +
      fmt::format("  (arena {}, persistent {}, scratch {}, {}stack {})",
                  s.arena_bytes, s.persistent_bytes, s.scratch_bytes,
                  s.front_end_bytes > 0
                      ? fmt::format("front end {}, ", s.front_end_bytes)
                      : "",
                  s.stack_bytes) +
      row("flash", s.flash_bytes(), has_flash) +
      fmt::format("  (weights {}, code about {}{})", s.constant_bytes,
                  s.code_bytes,
                  s.store_bytes > 0
                      ? fmt::format(", adapters and states {}", s.store_bytes)
                      : ""));
}

std::string linker_check(const DeviceSizes& s, const Target& target) {
  return fmt::format(
      kLinkerCheck, fmt::arg("stack", s.stack_bytes),
      fmt::arg("static", s.model_bytes + s.front_end_bytes),
      fmt::arg("what",
               s.front_end_bytes > 0 ? "ft_model and ft_frontend" : "ft_model"),
      fmt::arg("ram", target.memory_bytes("ram")),
      fmt::arg("target", target.name));
}

}  // namespace ft::codegen
