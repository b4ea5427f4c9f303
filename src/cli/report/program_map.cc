#include "cli/report/program_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>

namespace ft::cli {
namespace {

// The backward pass names all that it makes so (ops/gradient.cc).
bool is_gradient(std::string_view name) { return name.starts_with("grad/"); }

// The first that knows the target: what depends on parameters alone may come
// before the forward pass. A step's target is its last input but one.
int first_backward_call(const Program& program) {
  if (program.inputs.size() < 2) return -1;
  const Graph& graph = program.graph;
  std::set<ValueId> knows{program.inputs[program.inputs.size() - 2].value};
  for (NodeId n = 0; n < graph.num_nodes(); ++n)
    if (std::ranges::any_of(graph.node(n).inputs,
                            [&](ValueId v) { return knows.contains(v); }))
      for (const ValueId v : graph.node(n).outputs) knows.insert(v);
  const auto it = std::ranges::find_if(program.calls, [&](const auto& call) {
    const Node& node = graph.node(call.node);
    return is_gradient(node.name) &&
           std::ranges::any_of(node.inputs,
                               [&](ValueId v) { return knows.contains(v); });
  });
  return it == program.calls.end()
             ? -1
             : static_cast<int>(it - program.calls.begin());
}

BufferKind kind_of(const Program& program, const ArenaBuffer& buffer,
                   int backward_call) {
  if (is_gradient(buffer.name)) return BufferKind::kGradient;
  const bool is_input = std::ranges::any_of(
      program.inputs, [&](const Binding& b) { return b.name == buffer.name; });
  if (is_input) return BufferKind::kInput;
  return backward_call >= 0 && buffer.lifetime.last_use >= backward_call
             ? BufferKind::kKept
             : BufferKind::kForward;
}

}  // namespace

MemoryMap map_of(const Program& program) {
  MemoryMap map{.buffers = {},
                .calls = {},
                .backward_call = first_backward_call(program),
                .fullest_call = program.fullest_call,
                .arena_bytes = program.arena_bytes,
                .lower_bound_bytes = program.lower_bound_bytes,
                .persistent_bytes = program.persistent_bytes,
                .scratch_bytes = program.scratch_bytes};
  for (const KernelCall& call : program.calls) {
    const Node& node = program.graph.node(call.node);
    map.calls.push_back(fmt::format("{} ({})", node.op->name, node.name));
  }
  for (const ArenaBuffer& b : program.arena)
    map.buffers.push_back({.name = b.name,
                           .kind = kind_of(program, b, map.backward_call),
                           .offset = b.offset,
                           .bytes = b.lifetime.bytes,
                           .first_use = b.lifetime.first_use,
                           .last_use = b.lifetime.last_use});
  return map;
}

}  // namespace ft::cli
