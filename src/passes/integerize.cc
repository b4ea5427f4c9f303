#include "passes/integerize.h"

#include "ir/bfp.h"
#include "passes/integer/integerizer.h"

namespace ft {

std::string exponent_name(const std::string& name) {
  return name + "/exponent";
}

void set_integer_param(Graph& graph, ValueId param,
                       std::span<const float> real) {
  const BfpValues bfp = to_bfp(real, graph.value(param).type.quant.scale);
  const ValueId exponent =
      graph.find_value(exponent_name(graph.value(param).name));
  FT_CHECK(exponent != kNone);
  graph.value(param).data = graph.own(std::as_bytes(std::span(bfp.mantissas)));
  graph.value(exponent).data =
      graph.own(std::as_bytes(std::span(&bfp.exponent, 1)));
}

Status integerize(Graph& graph) { return Integerizer(graph).run(); }

}  // namespace ft
