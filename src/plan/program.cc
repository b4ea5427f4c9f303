#include "plan/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "base/hash.h"
#include "ops/verify.h"
#include "passes/stripes.h"
#include "plan/arena_layout.h"
#include "plan/operator_order.h"
#include "plan/select_kernel.h"
#include "plan/striped_program.h"

namespace ft {
namespace {

constexpr size_t kCacheLine = 64, kHugePage = 2 << 20;

// Of the search for an order of calls: below 0.05 s.
constexpr int64_t kOrderWork = 2'000'000;

size_t round_up(size_t bytes, size_t alignment) {
  return (bytes + alignment - 1) & ~(alignment - 1);
}

// Builds a Program: kernels, an order of calls with its arena, references.
class Planner {
 public:
  Planner(Graph graph, const PlanOptions& options) : options_(options) {
    program_.graph = std::move(graph);
  }

  Result<Program> run() {
    FT_TRY_STATUS(verify(graph()));
    FT_TRY_STATUS(select_kernels());
    FT_TRY_STATUS(choose_order());
    take_layout();
    place_persistent();
    for (size_t c = 0; c < program_.calls.size(); ++c) bind_call(c);
    bind_interface();
    count_constants();
    return std::move(program_);
  }

 private:
  Graph& graph() { return program_.graph; }
  static size_t at(int id) { return static_cast<size_t>(id); }

  Status select_kernels() {
    for (NodeId n = 0; n < graph().num_nodes(); ++n) {
      const Node& node = graph().node(n);
      if (has_no_call(node)) continue;
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

  // Lays the arena out for the order of calls that needs less of it. The search
  // over orders knows bytes alive, not the gaps between buffers, so it is whole
  // layouts that are compared.
  Status choose_order() {
    std::vector<Overlap> overlaps(at(graph().num_nodes()));
    for (const KernelCall& call : program_.calls)
      overlaps[at(call.node)] = call.overlap;
    std::vector<NodeId> given(at(graph().num_nodes()));
    std::iota(given.begin(), given.end(), 0);
    const std::span<const Overlap> used =
        options_.in_place ? std::span<const Overlap>(overlaps)
                          : std::span<const Overlap>();
    ArenaPlanner as_given(graph(), given, used);
    std::vector<NodeId> order = given;
    if (options_.reorder && stripes_of(graph()) == 0)
      order = order_for_peak(graph(), overlaps, kOrderWork);
    FT_TRY(layout_, ArenaPlanner(graph(), order, used)
                        .place(options_.alignment, options_.placement_rounds));
    if (order == given) return ok_status();
    if (layout_.arena_bytes >= as_given.lower_bound_bytes()) {
      FT_TRY(ArenaLayout other,
             std::move(as_given).place(options_.alignment,
                                       options_.placement_rounds));
      if (other.arena_bytes <= layout_.arena_bytes) {
        layout_ = std::move(other);
        return ok_status();
      }
    }
    sort_calls(order);
    return ok_status();
  }

  void sort_calls(const std::vector<NodeId>& order) {
    std::vector<size_t> turn(order.size());
    for (size_t i = 0; i < order.size(); ++i) turn[at(order[i])] = i;
    std::ranges::sort(program_.calls, {}, [&](const KernelCall& call) {
      return turn[at(call.node)];
    });
  }

  void take_layout() {
    program_.arena = std::move(layout_.buffers);
    program_.arena_bytes = layout_.arena_bytes;
    program_.arena_is_optimal = layout_.is_optimal;
    program_.lower_bound_bytes = layout_.lower_bound_bytes;
    program_.fullest_call = layout_.fullest_call;
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
    const ValueId r = layout_.root_of(v);
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
    const int index = layout_.index[at(r)];
    FT_CHECK(index != kNone);
    return {Space::kArena,
            program_.arena[at(index)].offset + layout_.offset_of(v)};
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
  ArenaLayout layout_;
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

namespace {

// Constants of megabytes lie in huge pages where the system has them: a run
// reads them from end to end, and a small page is another walk of the page
// table each 4 KB. Only whole huge pages are asked for: no memory is lost.
std::byte* allocate_aligned(size_t size) {
  const size_t alignment = size < kHugePage ? kCacheLine : kHugePage;
  void* p = std::aligned_alloc(alignment,
                               round_up(std::max<size_t>(size, 1), alignment));
  FT_CHECK(p != nullptr);
#if defined(__linux__)
  if (size >= kHugePage)
    (void)::madvise(p, size / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return static_cast<std::byte*>(p);
}

}  // namespace

AlignedBytes::AlignedBytes(std::span<const std::byte> bytes)
    : data_(allocate_aligned(bytes.size())), size_(bytes.size()) {
  std::ranges::copy(bytes, data_.get());
}

void AlignedBytes::Free::operator()(std::byte* p) const { std::free(p); }

Result<Program> build_program(Graph graph, const PlanOptions& options) {
  if (options.stripes == 0) return Planner(std::move(graph), options).run();
  PlanOptions quick = options;
  quick.placement_rounds = 0;
  quick.reorder = false;
  return build_in_stripes(
      graph, {options.stripes, options.enough_bytes}, [&](Graph g, bool hasty) {
        return Planner(std::move(g), hasty ? quick : options).run();
      });
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
  std::vector<const KernelCall*> calls;
  for (const KernelCall& call : program.calls) calls.push_back(&call);
  std::ranges::sort(calls, {}, &KernelCall::node);
  std::vector<std::byte> bytes;
  for (const KernelCall* c : calls) {
    const KernelCall& call = *c;
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
