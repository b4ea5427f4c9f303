#include "plan/arena_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <set>
#include <utility>

#include "ops/all_ops.h"
#include "passes/stripes.h"
#include "plan/tighten.h"

namespace ft {
namespace {

size_t at(int id) { return static_cast<size_t>(id); }

bool is_join(const Node& node) {
  return node.op == &ops::kConcat && has_no_call(node);
}

// Where the output of a view, or of a slice in place, begins in its input.
size_t bytes_before(const Graph& graph, const Node& node) {
  if (node.op != &ops::kSlice) return 0;
  const TensorType& whole = graph.value(node.inputs[0]).type;
  const std::vector<int64_t> begin = node.attrs.get_ints("begin");
  int64_t elements = 0;
  for (int d = 0; d < whole.shape.rank(); ++d)
    elements = elements * whole.shape[d] + begin[at(d)];
  return static_cast<size_t>(elements) * size_of(whole.dtype);
}

}  // namespace

ArenaPlanner::ArenaPlanner(const Graph& graph, std::span<const NodeId> order,
                           std::span<const Overlap> overlaps)
    : graph_(graph), order_(order) {
  turn_of_.assign(order.size(), 0);
  call_at_.push_back(0);
  for (size_t turn = 0; turn < order.size(); ++turn) {
    turn_of_[at(order[turn])] = static_cast<int>(turn);
    const bool is_call = !has_no_call(graph.node(order[turn]));
    call_at_.push_back(call_at_.back() + (is_call ? 1 : 0));
  }
  find_last_uses();
  share_buffers(!overlaps.empty());
  add_lifetimes();
  if (overlaps.empty()) return;
  find_rolling(overlaps);
  find_joins();
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
void ArenaPlanner::share_buffers(bool in_place) {
  for (ValueId v = 0; v < graph_.num_values(); ++v) layout_.root.push_back(v);
  layout_.offset.assign(at(graph_.num_values()), 0);
  for (const NodeId n : order_)
    if (is_join(graph_.node(n))) join_parts(graph_.node(n));
  for (size_t turn = 0; turn < order_.size(); ++turn) {
    const Node& node = graph_.node(order_[turn]);
    if (is_join(node)) continue;
    if (has_no_call(node)) {
      join(node.outputs[0], node.inputs[0], bytes_before(graph_, node));
      continue;
    }
    if (!in_place || node.op->inplace_input == kNone || node.outputs.empty() ||
        layout_.root[at(node.outputs[0])] != node.outputs[0])
      continue;
    const ValueId in = node.inputs[at(node.op->inplace_input)];
    if (in != kNone && may_overwrite(static_cast<int>(turn), in))
      join(node.outputs[0], in, 0);
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

void ArenaPlanner::join(ValueId out, ValueId in, size_t offset) {
  const ValueId r = layout_.root_of(in);
  layout_.root[at(out)] = r;
  layout_.offset[at(out)] = layout_.offset_of(in) + offset;
  last_turn_[at(r)] = std::max(last_turn_[at(r)], last_turn_[at(out)]);
}

// The parts of a concatenation lie in its output, which alone reads them.
void ArenaPlanner::join_parts(const Node& concat) {
  size_t offset = 0;
  for (const ValueId part : concat.inputs) {
    layout_.root[at(part)] = concat.outputs[0];
    layout_.offset[at(part)] = offset;
    offset += graph_.value(part).type.num_bytes();
  }
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
  if (value.kind == ValueKind::kInput) return 0;
  const Node& node = graph_.node(value.producer);
  if (!has_no_call(node)) return call_at_[at(turn_of_[at(value.producer)])];
  int first = INT_MAX;  // of the parts that lie in it
  for (const ValueId part : node.inputs)
    first = std::min(first, first_call_of(part));
  return first;
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
    const auto before = static_cast<ptrdiff_t>(layout_.offset_of(in));
    rolling_.push_back({at(to), at(from), overlap.distance - before});
  }
}

// What is written in parts may lie over an image that is read in parts, if they
// keep their distance from first to last.
void ArenaPlanner::find_joins() {
  for (const NodeId n : order_) {
    const Node& node = graph_.node(n);
    if (!is_join(node)) continue;
    int first = INT_MAX;
    for (const ValueId part : node.inputs)
      first = std::min(first, turn_of_[at(graph_.value(part).producer)]);
    std::set<ValueId> read;
    for (int turn = first; turn < turn_of_[at(n)]; ++turn)
      for (const ValueId v : graph_.node(order_[at(turn)]).inputs)
        if (v != kNone && layout_.index[at(layout_.root_of(v))] != kNone)
          read.insert(layout_.root_of(v));
    read.erase(node.outputs[0]);
    for (const ValueId image : read) roll_over(node, image, first);
  }
}

void ArenaPlanner::roll_over(const Node& concat, ValueId image, int first) {
  const ValueId joined = concat.outputs[0];
  const int last = turn_of_[at(graph_.value(joined).producer)];
  const int from = layout_.index[at(image)], to = layout_.index[at(joined)];
  if (last_turn_[at(image)] >= last ||
      lifetimes_[at(from)].first_use >= lifetimes_[at(to)].first_use)
    return;
  ptrdiff_t distance = PTRDIFF_MIN;
  auto unread = static_cast<ptrdiff_t>(lifetimes_[at(from)].bytes);
  bool is_read = false;
  for (int turn = last - 1; turn >= first; --turn) {
    const Node& node = graph_.node(order_[at(turn)]);
    if (has_no_call(node)) continue;
    for (const ValueId v : node.inputs)
      if (v != kNone && layout_.root_of(v) == image) {
        unread = std::min(unread, static_cast<ptrdiff_t>(layout_.offset_of(v)));
        is_read = true;
      }
    for (const ValueId v : node.outputs) {
      if (layout_.root_of(v) == image) return;
      if (!is_read || layout_.root_of(v) != joined) continue;
      const size_t end =
          layout_.offset_of(v) + graph_.value(v).type.num_bytes();
      distance = std::max(distance, static_cast<ptrdiff_t>(end) - unread);
    }
  }
  if (distance > PTRDIFF_MIN) rolling_.push_back({at(to), at(from), distance});
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
