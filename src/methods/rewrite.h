// Edits of a graph that several methods make.
//
// New nodes are appended first and then moved to where their readers need them.
// A layer that already has what a method would add (another adapter's side, a
// delta) gets the sum of both, so that methods compose.
#pragma once

#include <functional>

#include "base/result.h"
#include "ir/graph.h"
#include "methods/method.h"

namespace ft {

inline TensorType real_type(Shape shape) {
  return {.dtype = DType::kF32, .shape = shape, .quant = {}};
}

// The nodes appended since `first_new` moved in front of node `before`, which
// reads them.
void move_in_front(Graph& graph, NodeId first_new, NodeId before);

// The nodes appended since `first_new` read `from` and make `to`; everyone else
// who reads `from` (graph outputs too) reads `to` from now on, and the new
// nodes stand right behind the producer of `from`, or in front of `before`.
void insert_behind(Graph& graph, NodeId first_new, ValueId from, ValueId to,
                   NodeId before = kNone);

// factor * x as a node, for float x.
Result<ValueId> append_scaled(Graph& graph, ValueId x, double factor);

// `layer` adds scaling * h b^T where it accumulates, beside what stands there
// already: ranks are concatenated. h [..., r], b [out, r].
Status join_side(Graph& graph, NodeId layer, ValueId h, ValueId b,
                 double scaling);

// The depthwise convolution `layer` adds `delta`, of its weight's shape, to its
// weight, beside a delta that stands there already.
Status add_weight_delta(Graph& graph, NodeId layer, ValueId delta);

// The layer's attribute for an input that an adapter scales.
inline constexpr const char* kScaledInput = "scaled_input";
// Fails if an earlier adapter scales the layer's input or output: what is added
// now would be scaled too, but not where the two are merged in turn.
Status check_unscaled(const Graph& graph, NodeId layer);

// The layer multiplies what it accumulates by `gain` [out], beside a gain that
// stands there already; with `of_bias` its bias too. Fails where the two do not
// agree about the bias.
Status add_gain(Graph& graph, NodeId layer, ValueId gain, bool of_bias);

// The nodes before `end` read `to` in the place of `from`.
void replace_reads(Graph& graph, NodeId end, ValueId from, ValueId to);

// `node` reads `value` as input i; inputs between are absent.
void set_input(Graph& graph, NodeId node, size_t i, ValueId value);

// The module as it stands now: nodes move while a graph is rewritten.
AdaptableModule current(const Graph& graph, AdaptableModule module);

// Calls `rewrite` for each module and moves the nodes that it appends
// in front of the module's node, which reads them.
using ModuleRewrite = std::function<Status(const AdaptableModule& m)>;
Status rewrite_modules(Graph& graph, std::span<const AdaptableModule> modules,
                       const ModuleRewrite& rewrite);
// The same for the modules that the settings select.
Status rewrite_modules(Graph& graph, const MethodSettings& settings,
                       const ModuleRewrite& rewrite);

}  // namespace ft
