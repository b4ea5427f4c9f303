// Who shares whose bytes while nodes run in a given order, and where in the
// arena every buffer lies.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "ops/op_def.h"
#include "plan/program.h"

namespace ft {

struct ArenaLayout {
  std::vector<ValueId> root;   // by value: whose buffer it shares
  std::vector<size_t> offset;  // by value: where in that of `root`
  std::vector<int> index;      // by value, roots only: of `buffers`, or kNone
  std::vector<ArenaBuffer> buffers;
  size_t arena_bytes = 0;
  size_t lower_bound_bytes = 0;
  bool is_optimal = false;
  int fullest_call = 0;

  ValueId root_of(ValueId v) const {
    while (root[static_cast<size_t>(v)] != v) v = root[static_cast<size_t>(v)];
    return v;
  }
  // Where a value begins in the buffer of its root.
  size_t offset_of(ValueId v) const {
    size_t sum = offset[static_cast<size_t>(v)];
    for (; root[static_cast<size_t>(v)] != v; v = root[static_cast<size_t>(v)])
      sum += offset[static_cast<size_t>(root[static_cast<size_t>(v)])];
    return sum;
  }
};

// Lifetimes of all buffers for one order of the nodes, and their placement.
class ArenaPlanner {
 public:
  // `order`: all nodes; those with a call (has_no_call()) are calls, in this
  // order. `overlaps`: by node, what its kernel row allows; empty: no node
  // writes over what it reads.
  ArenaPlanner(const Graph& graph, std::span<const NodeId> order,
               std::span<const Overlap> overlaps);

  // Of the arena, without placing anything.
  size_t lower_bound_bytes() const;
  // Fails with kInternal where the placement is not valid.
  Result<ArenaLayout> place(size_t alignment, int rounds) &&;

 private:
  void find_last_uses();
  void share_buffers(bool in_place);
  void add_lifetimes();
  void find_rolling(std::span<const Overlap> overlaps);
  void find_joins();
  void roll_over(const Node& concat, ValueId image, int first);
  bool may_overwrite(int turn, ValueId in) const;
  ptrdiff_t num_readings(const Node& node, ValueId in) const;
  void join(ValueId out, ValueId in, size_t offset);
  void join_parts(const Node& concat);
  bool begins_here(ValueId v) const;
  int first_call_of(ValueId v) const;

  const Graph& graph_;
  std::span<const NodeId> order_;
  ArenaLayout layout_;
  std::vector<int> turn_of_;    // by node: its place in the order
  std::vector<int> call_at_;    // by turn: calls before it; one more: of all
  std::vector<int> last_turn_;  // by value; number of nodes: behind the end
  std::vector<Lifetime> lifetimes_;
  std::vector<Rolling> rolling_;
};

}  // namespace ft
