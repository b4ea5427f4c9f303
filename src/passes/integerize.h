// Rewrites a step or inference graph of an int8 model in which an adapter, its
// gradients and its optimizer are float32 ("mixed") into one without any float.
//
// int8 stays as it is. Every float32 value becomes block floating point
// (kernels/bfp/bfp.h): int16 mantissas and an int32 exponent; every node that
// touches one becomes the bfp_ node of the same meaning, with the same name.
// Scales that are no powers of two ride along as factors that are known when
// compiling. So a method needs no rule of its own: it is a rewrite of the float
// graph, out of ops that this pass knows.
//
// In place of their old types, ids and names unchanged:
//   parameters  int16, plus a parameter `exponent_name(...)` int32[1]
//   hyper       int32[12] (kernels/bfp_updates/bfp_updates.h)
//   target      int32, with the scale in which it is to be written
//   outputs     the loss as int32[2]; an answer as int16 followed by its
//               exponent, or as the int8 values that it was
#pragma once

#include <string>

#include "base/result.h"
#include "ir/graph.h"

namespace ft {

// Fails, naming op and node, where a node has no integer form.
Status integerize(Graph& graph);

// The parameter that holds the exponent of parameter `name`.
std::string exponent_name(const std::string& name);

// Gives an integer parameter and its exponent initial values; `real` has its
// elements, in order.
void set_integer_param(Graph& graph, ValueId param,
                       std::span<const float> real);

}  // namespace ft
