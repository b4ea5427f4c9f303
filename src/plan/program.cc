#include "plan/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "base/hash.h"
#include "ops/verify.h"
#include "plan/select_kernel.h"

namespace ft {
namespace {

constexpr std::align_val_t kCacheLine{64};

size_t round_up(size_t bytes, size_t alignment) {
  return (bytes + alignment - 1) & ~(alignment - 1);
}

// Builds a Program in the order: kernels, roots (who shares whose buffer),
// lifetimes, placement, references.
class Planner {
 public:
  Planner(Graph graph, const PlanOptions& options) : options_(options) {
    program_.graph = std::move(graph);
  }

  Result<Program> run() {
    FT_TRY_STATUS(verify(graph()));
    FT_TRY_STATUS(select_kernels());
    find_last_uses();
    share_buffers();
    FT_TRY_STATUS(place_arena());
    place_persistent();
    for (size_t c = 0; c < program_.calls.size(); ++c) bind_call(c);
    bind_interface();
    count_constants();
    return std::move(program_);
  }

 private:
  Graph& graph() { return program_.graph; }
  static size_t at(int id) { return static_cast<size_t>(id); }

  // Views have no call; `call_of_` maps nodes to the time axis of the plan.
  Status select_kernels() {
    for (NodeId n = 0; n < graph().num_nodes(); ++n) {
      const Node& node = graph().node(n);
      call_of_.push_back(static_cast<int>(program_.calls.size()));
      if (node.op->is_view) continue;
      FT_TRY(SelectedKernel selected, select_kernel(graph(), node, options_));
      const NodeView view = view_of(graph(), node);
      program_.macs += node.op->macs ? node.op->macs(view) : 0;
      program_.scratch_bytes = std::max(
          program_.scratch_bytes, round_up(selected.lowered.scratch_bytes, 16));
      KernelCall call{.kernel = selected.kernel,
                      .node = n,
                      .params = std::move(selected.lowered.params),
                      .params_type = selected.lowered.params_type,
                      .in = {},
                      .aux = {},
                      .out = {},
                      .scratch_bytes = selected.lowered.scratch_bytes,
                      .overlap = selected.overlap};
      for (const AuxData& a : selected.lowered.aux) {
        program_.derived.emplace_back(a.bytes);
        call.aux.push_back({.space = Space::kConstant,
                            .offset = 0,
                            .constant = program_.derived.back().bytes(),
                            .dtype = a.dtype});
      }
      program_.calls.push_back(std::move(call));
    }
    return ok_status();
  }

  void find_last_uses() {
    const auto n = at(graph().num_values());
    last_node_.assign(n, kNone);
    for (NodeId id = 0; id < graph().num_nodes(); ++id) {
      for (const ValueId v : graph().node(id).inputs)
        if (v != kNone) last_node_[at(v)] = id;
      for (const ValueId v : graph().node(id).outputs) last_node_[at(v)] = id;
    }
    for (const ValueId v : graph().outputs)
      last_node_[at(v)] = graph().num_nodes();
  }

  ValueId root(ValueId v) const {
    while (root_[at(v)] != v) v = root_[at(v)];
    return v;
  }

  // Views share the buffer of their input; in-place ops take it over when they
  // are its last reader.
  void share_buffers() {
    root_.resize(at(graph().num_values()));
    for (ValueId v = 0; v < graph().num_values(); ++v) root_[at(v)] = v;
    for (NodeId n = 0; n < graph().num_nodes(); ++n) {
      const Node& node = graph().node(n);
      const int from = node.op->is_view ? 0 : node.op->inplace_input;
      if (from == kNone || node.outputs.empty()) continue;
      const ValueId in = node.inputs[at(from)];
      if (in == kNone) continue;
      if (node.op->is_view || may_overwrite(n, in)) join(node.outputs[0], in);
    }
  }

  bool may_overwrite(NodeId n, ValueId in) const {
    const Node& node = program_.graph.node(n);
    const ValueId r = root(in);
    const Value& owner = program_.graph.value(r);
    if (owner.kind != ValueKind::kActivation || last_node_[at(r)] != n)
      return false;
    if (num_readings(node, in) != 1) return false;
    return program_.graph.value(node.outputs[0]).type.num_bytes() ==
           owner.type.num_bytes();
  }

  // How many inputs of a node lie in the buffer of `in`.
  ptrdiff_t num_readings(const Node& node, ValueId in) const {
    return std::ranges::count_if(node.inputs, [&](ValueId v) {
      return v != kNone && root(v) == root(in);
    });
  }

  void join(ValueId out, ValueId in) {
    const ValueId r = root(in);
    root_[at(out)] = r;
    last_node_[at(r)] = std::max(last_node_[at(r)], last_node_[at(out)]);
  }

  bool in_arena(ValueId v) const {
    const ValueKind kind = program_.graph.value(v).kind;
    return kind == ValueKind::kActivation || kind == ValueKind::kInput;
  }

  int call_at(NodeId n) const {
    return n >= program_.graph.num_nodes()
               ? static_cast<int>(program_.calls.size())
               : call_of_[at(n)];
  }

  Status place_arena() {
    std::vector<Lifetime> lifetimes;
    arena_index_.assign(at(graph().num_values()), kNone);
    for (ValueId v = 0; v < graph().num_values(); ++v) {
      const Value& value = graph().value(v);
      const bool used = value.kind == ValueKind::kInput
                            ? is_graph_input(v)
                            : value.producer != kNone;
      if (!in_arena(v) || root(v) != v || !used) continue;
      const int first =
          value.kind == ValueKind::kInput ? 0 : call_at(value.producer);
      arena_index_[at(v)] = static_cast<int>(lifetimes.size());
      lifetimes.push_back(
          {.bytes = value.type.num_bytes(),
           .first_use = first,
           .last_use = std::max(first, call_at(last_node_[at(v)]))});
      program_.arena.push_back({value.name, lifetimes.back(), 0});
    }
    const std::vector<Rolling> rolling = find_rolling(lifetimes);
    const Placement plan = place_buffers(lifetimes, options_.alignment,
                                         options_.placement_rounds, rolling);
    if (const auto pair = overlap(lifetimes, plan, rolling))
      return internal_error(fmt::format("plan: buffers '{}' and '{}' overlap",
                                        program_.arena[pair->first].name,
                                        program_.arena[pair->second].name));
    for (size_t i = 0; i < lifetimes.size(); ++i)
      program_.arena[i].offset = plan.offsets[i];
    program_.arena_bytes = plan.arena_bytes;
    program_.arena_is_optimal = plan.is_optimal();
    program_.lower_bound_bytes = lower_bound_bytes(lifetimes, rolling);
    program_.fullest_call = fullest_step(lifetimes, rolling);
    return ok_status();
  }

  // Calls whose row may write over what it has read, where the input dies and
  // the output begins.
  std::vector<Rolling> find_rolling(std::span<const Lifetime> lifetimes) const {
    std::vector<Rolling> all;
    for (size_t c = 0; c < program_.calls.size(); ++c) {
      const KernelCall& call = program_.calls[c];
      if (call.overlap.input == kNone) continue;
      const Node& node = program_.graph.node(call.node);
      const ValueId in = node.inputs[at(call.overlap.input)];
      const ValueId out = node.outputs[0];
      if (in == kNone || root(out) != out || num_readings(node, in) != 1)
        continue;
      const int from = arena_index_[at(root(in))], to = arena_index_[at(out)];
      if (from == kNone || to == kNone) continue;
      if (lifetimes[at(from)].last_use != static_cast<int>(c) ||
          lifetimes[at(to)].first_use != static_cast<int>(c))
        continue;
      all.push_back({at(to), at(from), call.overlap.distance});
    }
    return all;
  }

  bool is_graph_input(ValueId v) const {
    return std::ranges::find(program_.graph.inputs, v) !=
           program_.graph.inputs.end();
  }

  // Parameters before states: a forward-only program of the same parameters
  // then has the same offsets as the training program.
  void place_persistent() {
    persistent_offset_.assign(at(graph().num_values()), 0);
    for (const ValueKind kind : {ValueKind::kParam, ValueKind::kState})
      for (ValueId v = 0; v < graph().num_values(); ++v) {
        const Value& value = graph().value(v);
        if (value.kind != kind) continue;
        persistent_offset_[at(v)] = program_.persistent_bytes;
        program_.persistent.push_back({value.name,
                                       v,
                                       value.type,
                                       {.space = Space::kPersistent,
                                        .offset = program_.persistent_bytes,
                                        .constant = {}}});
        program_.persistent_bytes +=
            round_up(value.type.num_bytes(), options_.alignment);
      }
  }

  BufferRef ref(ValueId v) const {
    if (v == kNone) return {};
    const ValueId r = root(v);
    const Value& owner = program_.graph.value(r);
    switch (owner.kind) {
      case ValueKind::kConstant:
        return {Space::kConstant, 0, owner.data, owner.type.dtype};
      case ValueKind::kParam:
      case ValueKind::kState:
        return {Space::kPersistent, persistent_offset_[at(r)]};
      case ValueKind::kInput:
      case ValueKind::kActivation: break;
    }
    const int index = arena_index_[at(r)];
    FT_CHECK(index != kNone);
    return {Space::kArena, program_.arena[at(index)].offset};
  }

  void bind_call(size_t c) {
    KernelCall& call = program_.calls[c];
    const Node& node = graph().node(call.node);
    for (const ValueId v : node.inputs) call.in.push_back(ref(v));
    for (const ValueId v : node.outputs) call.out.push_back(ref(v));
    // Kernels test optional inputs by NULL, so absent trailing ones are listed.
    call.in.resize(at(
        std::max(node.op->max_inputs, static_cast<int>(node.inputs.size()))));
  }

  void bind_interface() {
    const auto bind = [&](ValueId v) {
      return Binding{graph().value(v).name, v, graph().value(v).type, ref(v)};
    };
    for (const ValueId v : graph().inputs) program_.inputs.push_back(bind(v));
    for (const ValueId v : graph().outputs) program_.outputs.push_back(bind(v));
  }

  void count_constants() {
    std::vector<bool> seen(at(graph().num_values()), false);
    for (NodeId n = 0; n < graph().num_nodes(); ++n)
      for (const ValueId v : graph().node(n).inputs)
        if (v != kNone && graph().value(v).kind == ValueKind::kConstant &&
            !seen[at(v)]) {
          seen[at(v)] = true;
          program_.constant_bytes += graph().value(v).data.size();
        }
    for (const AlignedBytes& aux : program_.derived)
      program_.constant_bytes += aux.bytes().size();
  }

  PlanOptions options_;
  Program program_;
  std::vector<int> call_of_;       // by node
  std::vector<NodeId> last_node_;  // by value; num_nodes(): after the end
  std::vector<ValueId> root_;      // by value: whose buffer it shares
  std::vector<int> arena_index_;   // by value, roots only
  std::vector<size_t> persistent_offset_;
};

// Converters join the names of fused tensors with ';': the first one tells.
std::string_view short_name(std::string_view name) {
  return name.substr(0, name.find(';'));
}

std::string largest_buffers(const Program& program, size_t count) {
  const std::vector<const ArenaBuffer*> live = fullest_buffers(program);
  std::string text;
  for (size_t i = 0; i < std::min(count, live.size()); ++i)
    text += fmt::format("{}'{}' ({} B)", i ? ", " : "",
                        short_name(live[i]->name), live[i]->lifetime.bytes);
  return text;
}

template <class T>
void append_bytes(std::vector<std::byte>& to, const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

void append_ref(std::vector<std::byte>& to, ValueId value,
                const BufferRef& ref) {
  append_bytes(to, ref.space);
  if (ref.space == Space::kArena)
    append_bytes(to, value);
  else
    append_bytes(to, ref.offset);
  if (ref.space != Space::kConstant) return;
  const std::string hash = sha256_hex(ref.constant);
  for (const char c : hash) append_bytes(to, c);
}

}  // namespace

AlignedBytes::AlignedBytes(std::span<const std::byte> bytes)
    : data_(static_cast<std::byte*>(::operator new(bytes.size(), kCacheLine))),
      size_(bytes.size()) {
  std::ranges::copy(bytes, data_.get());
}

void AlignedBytes::Free::operator()(std::byte* p) const {
  ::operator delete(p, kCacheLine);
}

Result<Program> build_program(Graph graph, const PlanOptions& options) {
  return Planner(std::move(graph), options).run();
}

std::vector<const ArenaBuffer*> fullest_buffers(const Program& program) {
  std::vector<const ArenaBuffer*> live;
  for (const ArenaBuffer& b : program.arena)
    if (b.lifetime.first_use <= program.fullest_call &&
        program.fullest_call <= b.lifetime.last_use)
      live.push_back(&b);
  std::ranges::sort(live, [](const ArenaBuffer* a, const ArenaBuffer* b) {
    return a->lifetime.bytes > b->lifetime.bytes;
  });
  return live;
}

Status check_budget(const Program& program, size_t ram_bytes) {
  if (program.ram_bytes() <= ram_bytes) return ok_status();
  const auto call = static_cast<size_t>(program.fullest_call);
  const std::string where =
      call < program.calls.size()
          ? program.graph.node(program.calls[call].node).name
          : "the end";
  return does_not_fit(fmt::format(
      "the step needs {} bytes of RAM (arena {} + persistent {} + scratch {}), "
      "the budget is {}; the fullest step is '{}' with {}; the smallest budget "
      "that works is {} bytes",
      program.ram_bytes(), program.arena_bytes, program.persistent_bytes,
      program.scratch_bytes, ram_bytes, where, largest_buffers(program, 3),
      program.ram_bytes()));
}

std::string plan_hash(const Program& program) {
  std::vector<std::byte> bytes;
  for (const KernelCall& call : program.calls) {
    const KernelDef& row = *call.kernel;
    if (row.tolerance == 0) {
      const std::string_view op = program.graph.node(call.node).op->name;
      for (const char c : op) append_bytes(bytes, c);
      for (const char c : row.signature) append_bytes(bytes, c);
    } else {
      for (const char c : row.symbol) append_bytes(bytes, c);
    }
    bytes.insert(bytes.end(), call.params.begin(), call.params.end());
    const Node& node = program.graph.node(call.node);
    for (size_t i = 0; i < call.in.size(); ++i)
      append_ref(bytes, i < node.inputs.size() ? node.inputs[i] : kNone,
                 call.in[i]);
    for (size_t i = 0; i < call.out.size(); ++i)
      append_ref(bytes, node.outputs[i], call.out[i]);
  }
  append_bytes(bytes, program.persistent_bytes);
  return sha256_hex(bytes);
}

}  // namespace ft
