// For tests: a float classifier of a few hundred weights with one layer of each
// adaptable kind, conv2d -> depthwise -> global pool -> fully connected ->
// softmax.
#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/kernel.h"
#include "methods/head.h"
#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {

inline TensorType f32_type(Shape shape) {
  return {.dtype = DType::kF32, .shape = shape, .quant = {}};
}

inline ValueId tiny_weight(Graph& graph, const std::string& name, Shape shape) {
  const auto count = static_cast<size_t>(shape.num_elements());
  return graph.add_owned(ValueKind::kConstant, name, f32_type(shape),
                         uniform_values(count, 0.5, 1, name));
}

// Input [batch, 6, 5, 2], 3 classes.
inline Graph tiny_model(int64_t batch) {
  Graph g;
  const ValueId x = g.add_input("x", f32_type({batch, 6, 5, 2}));
  const auto node = [&](const OpDef& op, std::vector<ValueId> inputs,
                        Attrs attrs, const char* name) {
    return append(g, op, std::move(inputs), std::move(attrs), {.name = name})
        .value();
  };
  const Attrs padded = {
      {"stride_h", 1},   {"stride_w", 1},  {"pad_top", 1},      {"pad_left", 1},
      {"pad_bottom", 1}, {"pad_right", 1}, {"act", FT_ACT_RELU}};
  const ValueId conv = node(ops::kConv2d,
                            {x, tiny_weight(g, "conv/w", {4, 3, 3, 2}),
                             tiny_weight(g, "conv/b", {4})},
                            padded, "block/conv");
  const ValueId dw = node(
      ops::kDepthwiseConv2d,
      {conv, tiny_weight(g, "dw/w", {1, 3, 3, 4}), tiny_weight(g, "dw/b", {4})},
      padded, "block/dw");
  const ValueId pool = node(ops::kReduce, {dw},
                            {{"kind", "mean"},
                             {"axes", std::vector<int64_t>{1, 2}},
                             {"keep_dims", 0}},
                            "pool");
  const ValueId fc =
      node(ops::kFullyConnected,
           {pool, tiny_weight(g, "fc/w", {3, 4}), tiny_weight(g, "fc/b", {3})},
           {}, "fc");
  g.outputs = {node(ops::kSoftmax, {fc}, {{"beta", 1.0}}, "softmax")};
  return g;
}

}  // namespace ft
