// The same bytes under another shape; no kernel runs.
#include "ops/all_ops.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/movement.h"

namespace ft::ops {
namespace {

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_movable(node));
  const std::vector<int64_t> dims = node.attrs->get_ints("shape");
  if (dims.size() > Shape::kMaxRank)
    return node.error(fmt::format("{} dimensions, at most {} are supported",
                                  dims.size(), Shape::kMaxRank));
  const Shape shape(dims);
  FT_TRY_STATUS(check_filled(node, shape));
  if (shape.num_elements() != node.shape(0).num_elements())
    return node.error(fmt::format("{} does not hold the elements of {}",
                                  shape.to_string(),
                                  node.shape(0).to_string()));
  return std::vector<TensorType>{retyped(node, shape)};
}

void gradient(GradientBuilder& g) {
  if (!g.needs_grad(0)) return;
  const auto dims = g.shape(g.input(0)).dims();
  g.set_input_grad(0,
                   g.emit(kReshape, {g.output_grad()},
                          {{"shape", std::vector(dims.begin(), dims.end())}}));
}

int64_t macs(const NodeView&) { return 0; }

std::vector<OpExample> examples() {
  using Ints = std::vector<int64_t>;
  return {
      {.inputs = {f32({2, 3, 4})}, .attrs = {{"shape", Ints{6, 4}}}},
      {.inputs = {f32({1, 1})}, .attrs = {{"shape", Ints{}}}},
      {.inputs = {s8({2, 15}, 0.1f, 3)}, .attrs = {{"shape", Ints{3, 5, 2}}}}};
}

}  // namespace

constinit const OpDef kReshape = {.name = "reshape",
                                  .cost_class = CostClass::kMovement,
                                  .infer = infer,
                                  .gradient = gradient,
                                  .is_view = true,
                                  .macs = macs,
                                  .examples = examples};

}  // namespace ft::ops
