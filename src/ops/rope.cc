// Rotary position embedding (Su et al., "RoFormer", 2021) of the rows
// [batch * seq_len, heads * head_dim] of queries or keys.
//
// Attributes: head_dim, seq_len, start (position of the first row, default 0),
// theta (default 10000), half (1: pairs (i, i + d/2) as Hugging Face has them;
// 0: pairs (2i, 2i + 1) as in the paper and in llama2.c), inverse.
#include "kernels/rope/rope.h"

#include <cmath>

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/example_types.h"
#include "ops/gradient.h"

namespace ft::ops {
namespace {

Status check_settings(const NodeView& node) {
  const Shape& x = node.shape(0);
  const Attrs& a = *node.attrs;
  const int64_t head_dim = a.get_int("head_dim"),
                seq_len = a.get_int("seq_len");
  if (head_dim < 2 || head_dim % 2 != 0 || x.back() % head_dim != 0)
    return node.error(fmt::format(
        "{} columns do not form heads of {} elements, an even number", x.back(),
        head_dim));
  if (seq_len < 1 || x.num_elements() / x.back() % seq_len != 0)
    return node.error(fmt::format("x {} does not form sequences of {} rows",
                                  x.to_string(), seq_len));
  const int64_t start = a.get_int("start");
  if (start < 0 || start > INT32_MAX - seq_len)
    return node.error(fmt::format("the first position is {}", start));
  const double theta = a.get_real("theta", 10000);
  if (theta >= 1 && std::isfinite(theta)) return ok_status();
  return node.error(fmt::format("theta is {}, must be at least 1", theta));
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  const Shape& x = node.shape(0);
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  if (x.rank() < 2 || x.num_elements() == 0)
    return node.error(
        fmt::format("x must be [rows, columns], got {}", x.to_string()));
  FT_TRY_STATUS(check_settings(node));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = x, .quant = {}}};
}

// Frequencies and angles are rounded to float32, as models are trained with
// them; the functions themselves are computed in double and rounded once, so
// that the table does not hang on the C library at hand.
std::vector<float> angle_table(const Attrs& attrs) {
  const int head_dim = attrs.get_i("head_dim"),
            seq_len = attrs.get_i("seq_len");
  const int start = attrs.get_i("start");
  const double theta = attrs.get_real("theta", 10000);
  std::vector<float> table;
  table.reserve(static_cast<size_t>(seq_len) * static_cast<size_t>(head_dim));
  for (int t = 0; t < seq_len; ++t)
    for (int i = 0; i < head_dim; i += 2) {
      const auto exponent =
          static_cast<float>(i) / static_cast<float>(head_dim);
      const auto frequency = static_cast<float>(
          1 / std::pow(theta, static_cast<double>(exponent)));
      const float angle = static_cast<float>(start + t) * frequency;
      table.push_back(static_cast<float>(std::cos(static_cast<double>(angle))));
      table.push_back(static_cast<float>(std::sin(static_cast<double>(angle))));
    }
  return table;
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const Attrs& attrs = *context.view.attrs;
  const Shape& x = context.view.shape(0);
  const int64_t head_dim = attrs.get_int("head_dim");
  lowered.set_params(
      ft_rope_params{.rows = static_cast<int32_t>(x.num_elements() / x.back()),
                     .heads = static_cast<int32_t>(x.back() / head_dim),
                     .head_dim = static_cast<int32_t>(head_dim),
                     .seq_len = attrs.get_i("seq_len"),
                     .half = attrs.get_int("half") != 0,
                     .inverse = attrs.get_int("inverse") != 0});
  lowered.add_aux<float>(angle_table(attrs));
  return ok_status();
}

// A rotation's gradient is the rotation back.
void gradient(GradientBuilder& g) {
  Attrs attrs = g.attrs();
  attrs.set("inverse", int64_t{attrs.get_int("inverse") == 0});
  g.set_input_grad(0, g.emit(kRope, {g.output_grad()}, attrs));
}

std::vector<OpExample> examples() {
  return {{.inputs = {f32({6, 8})}, .attrs = {{"head_dim", 4}, {"seq_len", 3}}},
          {.inputs = {f32({2, 5, 12})},
           .attrs = {{"head_dim", 6},
                     {"seq_len", 5},
                     {"start", 7},
                     {"half", 1},
                     {"theta", 500.0}}},
          {.inputs = {f32({3, 4})},
           .attrs = {{"head_dim", 4}, {"seq_len", 3}, {"inverse", 1}}}};
}

constexpr KernelDef kKernels[] = {
    {"ft_rope_f32_c99", Isa::kC99, "f32->f32", &ft_rope_f32_c99},
    {"ft_rope_f64_c99", Isa::kC99, "f64->f64", &ft_rope_f64_c99},
};

}  // namespace

constinit const OpDef kRope = {.name = "rope",
                               .cost_class = CostClass::kNonlinear,
                               .infer = infer,
                               .gradient = gradient,
                               .lower = lower,
                               .kernels = kKernels,
                               .inplace_input = 0,
                               .examples = examples};

}  // namespace ft::ops
