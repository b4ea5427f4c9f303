#include "plan/arena_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "plan/tighten.h"

namespace ft {
namespace {

size_t at(int id) { return static_cast<size_t>(id); }

}  // namespace

ArenaPlanner::ArenaPlanner(const Graph& graph, std::span<const NodeId> order,
                           std::span<const Overlap> overlaps)
    : graph_(graph), order_(order) {
  turn_of_.assign(order.size(), 0);
  call_at_.push_back(0);
  for (size_t turn = 0; turn < order.size(); ++turn) {
    turn_of_[at(order[turn])] = static_cast<int>(turn);
    // Views have no call.
    const bool is_call = !graph.node(order[turn]).op->is_view;
    call_at_.push_back(call_at_.back() + (is_call ? 1 : 0));
  }
  find_last_uses();
  share_buffers();
  add_lifetimes();
  find_rolling(overlaps);
}

void ArenaPlanner::find_last_uses() {
  last_turn_.assign(at(graph_.num_values()), kNone);
  for (size_t turn = 0; turn < order_.size(); ++turn) {
    const Node& node = graph_.node(order_[turn]);
    for (const ValueId v : node.inputs)
      if (v != kNone) last_turn_[at(v)] = static_cast<int>(turn);
    for (const ValueId v : node.outputs)
      last_turn_[at(v)] = static_cast<int>(turn);
  }
  for (const ValueId v : graph_.outputs) last_turn_[at(v)] = graph_.num_nodes();
}

// Views share the buffer of their input; in-place ops take it over when they
// are its last reader.
void ArenaPlanner::share_buffers() {
  for (ValueId v = 0; v < graph_.num_values(); ++v) layout_.root.push_back(v);
  for (size_t turn = 0; turn < order_.size(); ++turn) {
    const Node& node = graph_.node(order_[turn]);
    const int from = node.op->is_view ? 0 : node.op->inplace_input;
    if (from == kNone || node.outputs.empty()) continue;
    const ValueId in = node.inputs[at(from)];
    if (in == kNone) continue;
    if (node.op->is_view || may_overwrite(static_cast<int>(turn), in))
      join(node.outputs[0], in);
  }
}

bool ArenaPlanner::may_overwrite(int turn, ValueId in) const {
  const Node& node = graph_.node(order_[at(turn)]);
  const ValueId r = layout_.root_of(in);
  const Value& owner = graph_.value(r);
  if (owner.kind != ValueKind::kActivation || last_turn_[at(r)] != turn)
    return false;
  if (num_readings(node, in) != 1) return false;
  return graph_.value(node.outputs[0]).type.num_bytes() ==
         owner.type.num_bytes();
}

// How many inputs of a node lie in the buffer of `in`.
ptrdiff_t ArenaPlanner::num_readings(const Node& node, ValueId in) const {
  return std::ranges::count_if(node.inputs, [&](ValueId v) {
    return v != kNone && layout_.root_of(v) == layout_.root_of(in);
  });
}

void ArenaPlanner::join(ValueId out, ValueId in) {
  const ValueId r = layout_.root_of(in);
  layout_.root[at(out)] = r;
  last_turn_[at(r)] = std::max(last_turn_[at(r)], last_turn_[at(out)]);
}

// Whether a buffer of the arena begins with this value.
bool ArenaPlanner::begins_here(ValueId v) const {
  const Value& value = graph_.value(v);
  if (layout_.root[at(v)] != v) return false;
  if (value.kind == ValueKind::kInput)
    return std::ranges::find(graph_.inputs, v) != graph_.inputs.end();
  return value.kind == ValueKind::kActivation && value.producer != kNone;
}

int ArenaPlanner::first_call_of(ValueId v) const {
  const Value& value = graph_.value(v);
  return value.kind == ValueKind::kInput
             ? 0
             : call_at_[at(turn_of_[at(value.producer)])];
}

void ArenaPlanner::add_lifetimes() {
  layout_.index.assign(at(graph_.num_values()), kNone);
  for (ValueId v = 0; v < graph_.num_values(); ++v) {
    if (!begins_here(v)) continue;
    const int first = first_call_of(v);
    const int last = last_turn_[at(v)];
    layout_.index[at(v)] = static_cast<int>(lifetimes_.size());
    lifetimes_.push_back(
        {.bytes = graph_.value(v).type.num_bytes(),
         .first_use = first,
         .last_use = std::max(first, last == kNone ? 0 : call_at_[at(last)])});
    layout_.buffers.push_back({graph_.value(v).name, lifetimes_.back(), 0});
  }
}

// Calls whose row may write over what it has read, where the input dies and the
// output begins.
void ArenaPlanner::find_rolling(std::span<const Overlap> overlaps) {
  for (size_t turn = 0; turn < order_.size(); ++turn) {
    const Node& node = graph_.node(order_[turn]);
    const Overlap& overlap = overlaps[at(order_[turn])];
    if (overlap.input == kNone) continue;
    const ValueId in = node.inputs[at(overlap.input)];
    const ValueId out = node.outputs[0];
    if (in == kNone || layout_.root_of(out) != out ||
        num_readings(node, in) != 1)
      continue;
    const int from = layout_.index[at(layout_.root_of(in))];
    const int to = layout_.index[at(out)];
    if (from == kNone || to == kNone) continue;
    if (lifetimes_[at(from)].last_use != call_at_[turn] ||
        lifetimes_[at(to)].first_use != call_at_[turn])
      continue;
    rolling_.push_back({at(to), at(from), overlap.distance});
  }
}

size_t ArenaPlanner::lower_bound_bytes() const {
  return ft::lower_bound_bytes(lifetimes_, rolling_);
}

Result<ArenaLayout> ArenaPlanner::place(size_t alignment, int rounds) && {
  const Placement plan = place_buffers(lifetimes_, alignment, rounds, rolling_);
  if (const auto pair = overlap(lifetimes_, plan, rolling_))
    return internal_error(fmt::format("plan: buffers '{}' and '{}' overlap",
                                      layout_.buffers[pair->first].name,
                                      layout_.buffers[pair->second].name));
  for (size_t i = 0; i < lifetimes_.size(); ++i)
    layout_.buffers[i].offset = plan.offsets[i];
  layout_.arena_bytes = plan.arena_bytes;
  layout_.is_optimal = plan.is_optimal();
  layout_.lower_bound_bytes =
      aligned_bound_bytes(lifetimes_, alignment, rolling_);
  layout_.fullest_call = fullest_step(lifetimes_, rolling_);
  return std::move(layout_);
}

}  // namespace ft
