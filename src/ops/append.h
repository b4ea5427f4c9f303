// Adding a node to a graph: checks the op's rules and makes the outputs.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ops/op_def.h"

namespace ft {

struct AppendOptions {
  std::string name = {};                    // of the node; "" : made up
  std::vector<QuantParams> out_quant = {};  // int8 outputs, by position
  std::vector<std::string> output_names = {};
};

// Infers the output types and appends; returns the outputs. Trailing optional
// inputs may be left out or kNone. Fails with the op's own sentence.
Result<std::vector<ValueId>> append_node(Graph& graph, const OpDef& op,
                                         std::vector<ValueId> inputs,
                                         Attrs attrs = {},
                                         AppendOptions options = {});
// The same for ops with one output.
Result<ValueId> append(Graph& graph, const OpDef& op,
                       std::vector<ValueId> inputs, Attrs attrs = {},
                       AppendOptions options = {});

}  // namespace ft
