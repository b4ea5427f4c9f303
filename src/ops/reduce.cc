// Sum, mean and maximum over axes, and the gradient of the maximum. Loops in
// kernels/reduce/. Not for pooling windows (avg_pool2d, max_pool2d).
#include "kernels/reduce/reduce.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/quantize_multiplier.h"

namespace ft::ops {
namespace {

std::optional<int32_t> kind_of(const Attrs& attrs) {
  const std::string kind = attrs.get_word("kind");
  if (kind == "sum") return FT_REDUCE_SUM;
  if (kind == "mean") return FT_REDUCE_MEAN;
  if (kind == "max") return FT_REDUCE_MAX;
  return std::nullopt;
}

// A bit for each reduced axis.
uint32_t axis_mask(const Attrs& attrs) {
  uint32_t mask = 0;
  for (const int64_t axis : attrs.get_ints("axes")) mask |= 1u << axis;
  return mask;
}

Status check_axes(const NodeView& node, const Shape& x) {
  uint32_t seen = 0;
  for (const int64_t axis : node.attrs->get_ints("axes")) {
    if (axis < 0 || axis >= x.rank())
      return node.error(
          fmt::format("axis {} of a tensor of rank {}", axis, x.rank()));
    if (seen >> axis & 1)
      return node.error(fmt::format("axis {} is named twice", axis));
    seen |= 1u << axis;
  }
  return ok_status();
}

Shape reduced_shape(const Shape& x, uint32_t mask, bool keep_dims) {
  std::vector<int64_t> dims;
  for (int i = 0; i < x.rank(); ++i) {
    const bool reduced = (mask >> i & 1) != 0;
    if (!reduced || keep_dims) dims.push_back(reduced ? 1 : x[i]);
  }
  return Shape(dims);
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  const Shape& x = node.shape(0);
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real_or_per_tensor(node, 0));
  if (node.in(0).dtype == DType::kS8) FT_TRY_STATUS(check_wanted_quant(node));
  FT_TRY_STATUS(check_axes(node, x));
  const auto kind = kind_of(*node.attrs);
  if (!kind)
    return node.error(
        fmt::format("unknown kind '{}'", node.attrs->get_word("kind")));
  if (x.num_elements() == 0)
    return node.error(fmt::format("nothing to reduce in {}", x.to_string()));
  // The int32 sum of a larger int8 tensor could overflow.
  if (node.in(0).dtype == DType::kS8 && x.num_elements() >= 1 << 23)
    return node.error(
        fmt::format("int8 {} has 2^23 elements or more", x.to_string()));
  TensorType y{.dtype = node.in(0).dtype,
               .shape = reduced_shape(x, axis_mask(*node.attrs),
                                      node.attrs->get_int("keep_dims") != 0),
               .quant = {}};
  if (*kind == FT_REDUCE_MAX) y.quant = node.in(0).quant;
  return std::vector<TensorType>{y};
}

// Merges neighbouring axes of one fate; see kernels/reduce/reduce.h.
ft_reduce_params layout_of(const Shape& x, uint32_t mask) {
  ft_reduce_params p{};
  std::fill_n(p.kept, 4, 1);
  std::fill_n(p.reduced, 4, 1);
  p.count = 1;
  int used[2] = {0, 0};  // axes filled in kept[] and reduced[], from the back
  int32_t stride = 1;
  int last = -1;
  for (int i = x.rank() - 1; i >= 0; --i) {
    const auto dim = static_cast<int32_t>(x[i]);
    if (dim == 1) continue;
    const int fate = static_cast<int>(mask >> i & 1);
    int32_t* dims = fate ? p.reduced : p.kept;
    int32_t* strides = fate ? p.reduced_stride : p.kept_stride;
    if (fate != last) strides[3 - used[fate]++] = stride;
    dims[4 - used[fate]] *= dim;
    if (fate) p.count *= dim;
    stride *= dim;
    last = fate;
  }
  return p;
}

// TensorFlow Lite folds 1 / count into the multiplier of a mean as an integer
// division, after using up the bits that the multiplier has to spare, and
// computes a sum in float32.
void set_requantizer(const NodeView& node, ft_reduce_params& p) {
  const QuantParams &x = node.in(0).quant, &y = node.out(0).quant;
  p.x_zero_point = x.zero_point[0];
  p.y_zero_point = y.zero_point[0];
  p.scale = x.scale[0] / y.scale[0];
  p.bias = static_cast<float>(-p.x_zero_point) * p.scale *
           static_cast<float>(p.count);
  QuantizedMultiplier q = quantize_multiplier(static_cast<double>(x.scale[0]) /
                                              static_cast<double>(y.scale[0]));
  const int floor_log2 = std::bit_width(static_cast<uint32_t>(p.count)) - 1;
  const int bits = std::min(floor_log2, 31 + q.shift);
  q.multiplier = static_cast<int32_t>(
      (static_cast<int64_t>(q.multiplier) << bits) / p.count);
  q.shift -= bits;
  p.multiplier = q.multiplier;
  p.shift = q.shift;
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  ft_reduce_params p = layout_of(node.shape(0), axis_mask(*node.attrs));
  p.kind = *kind_of(*node.attrs);
  if (node.in(0).dtype == DType::kS8) set_requantizer(node, p);
  lowered.set_params(p);
  return ok_status();
}

// The gradient of an output spreads over all that went into it; that of a
// maximum goes to the first element that has it.
void gradient(GradientBuilder& g) {
  const Shape x = g.shape(g.input(0));
  const int32_t kind = *kind_of(g.attrs());
  ValueId dy = g.output_grad();
  if (kind == FT_REDUCE_MAX)
    return g.set_input_grad(
        0, g.emit(kReduceMaxGrad, {dy, g.input(0), g.output()}, g.attrs()));
  if (g.type(g.output()).dtype == DType::kS8)
    dy = g.emit(kActivationGrad, {dy, g.output()});
  if (dy == kNone) return;
  const Shape kept = reduced_shape(x, axis_mask(g.attrs()), true);
  dy = emit_reshape(g, dy, kept);
  const double count = static_cast<double>(x.num_elements()) /
                       static_cast<double>(kept.num_elements());
  g.set_input_grad(
      0,
      g.emit(kBroadcastTo, {dy},
             {{"shape", std::vector<int64_t>(x.dims().begin(), x.dims().end())},
              {"scale", kind == FT_REDUCE_MEAN ? 1 / count : 1.0}}));
}

Result<std::vector<TensorType>> infer_max_grad(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  FT_TRY_STATUS(check_real_or_per_tensor(node, 1));
  FT_TRY_STATUS(check_axes(node, node.shape(1)));
  FT_TRY_STATUS(check_same_dtype(node, 1, 2));
  FT_TRY_STATUS(check_same_shape(node, 0, 2));
  if (node.in(1).dtype != DType::kS8)
    FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  const Shape kept = reduced_shape(node.shape(1), axis_mask(*node.attrs), true);
  if (node.shape(1).num_elements() == 0 ||
      kept.num_elements() != node.shape(0).num_elements())
    return node.error(fmt::format("dy {} does not fit x {} without its axes",
                                  node.shape(0).to_string(),
                                  node.shape(1).to_string()));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = node.shape(1), .quant = {}}};
}

Status lower_max_grad(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  ft_reduce_params p = layout_of(node.shape(1), axis_mask(*node.attrs));
  p.kind = FT_REDUCE_MAX;
  lowered.set_params(p);
  return ok_status();
}

int64_t macs(const NodeView& node) { return node.shape(0).num_elements(); }

using Ints = std::vector<int64_t>;

std::vector<OpExample> examples() {
  const auto attrs = [](const char* kind, Ints axes, int64_t keep) {
    return Attrs{
        {"kind", kind}, {"axes", std::move(axes)}, {"keep_dims", keep}};
  };
  const QuantParams out = QuantParams::per_tensor(0.011f, 7);
  return {
      {.inputs = {f32({2, 5, 3, 7})}, .attrs = attrs("mean", {1, 2}, 0)},
      {.inputs = {f32({2, 5, 3, 7})}, .attrs = attrs("mean", {1, 2}, 1)},
      {.inputs = {f32({6, 5})}, .attrs = attrs("sum", {0}, 0)},
      {.inputs = {f32({33, 70})}, .attrs = attrs("sum", {0}, 1)},
      {.inputs = {f32({6, 5})}, .attrs = attrs("sum", {1}, 1)},
      {.inputs = {f32({2, 3, 4, 5, 2})}, .attrs = attrs("sum", {0, 2, 4}, 0)},
      {.inputs = {f32({2, 3, 4, 5, 2})}, .attrs = attrs("mean", {3, 1}, 1)},
      {.inputs = {f32({3, 4})}, .attrs = attrs("sum", {0, 1}, 0)},
      {.inputs = {f32({3, 4, 5})}, .attrs = attrs("max", {1}, 0)},
      {.inputs = {f32({3, 4, 5})}, .attrs = attrs("max", {0, 2}, 1)},
      {.inputs = {s8({2, 5, 3, 7}, 0.02f, -3)},
       .attrs = attrs("mean", {1, 2}, 1),
       .out_quant = {out}},
      {.inputs = {s8({2, 5, 3, 7}, 0.02f, -3)},
       .attrs = attrs("sum", {3}, 0),
       .out_quant = {QuantParams::per_tensor(0.1f, -9)}},
      {.inputs = {s8({2, 5, 3, 7}, 0.02f, -3)},
       .attrs = attrs("max", {1, 2}, 0)}};
}

std::vector<OpExample> max_grad_examples() {
  return {{.inputs = {f32({3, 5}), f32({3, 4, 5}), f32({3, 5})},
           .attrs = {{"axes", Ints{1}}}},
          {.inputs = {f32({1, 4}), s8({6, 4}, 0.1f, 0), s8({1, 4}, 0.1f, 0)},
           .attrs = {{"axes", Ints{0}}}}};
}

bool accepts_hwy(const LowerContext&, const Lowered& lowered) {
  return ft_reduce_f32_hwy_accepts(&lowered.params_as<ft_reduce_params>()) != 0;
}

constexpr KernelDef kKernels[] = {
    {"ft_reduce_f32_hwy", Isa::kHighway, "f32->f32", &ft_reduce_f32_hwy,
     accepts_hwy},
    {"ft_reduce_f32_c99", Isa::kC99, "f32->f32", &ft_reduce_f32_c99},
    {"ft_reduce_f64_c99", Isa::kC99, "f64->f64", &ft_reduce_f64_c99},
    {"ft_reduce_s8_c99", Isa::kC99, "s8->s8", &ft_reduce_s8_c99},
};

constexpr KernelDef kMaxGradKernels[] = {
    {"ft_reduce_max_grad_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_reduce_max_grad_f32_c99},
    {"ft_reduce_max_grad_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_reduce_max_grad_f64_c99},
    {"ft_reduce_max_grad_f32s8_c99", Isa::kC99, "f32,s8->f32",
     &ft_reduce_max_grad_f32s8_c99},
};

}  // namespace

constinit const OpDef kReduce = {.name = "reduce",
                                 .cost_class = CostClass::kReduction,
                                 .infer = infer,
                                 .gradient = gradient,
                                 .lower = lower,
                                 .kernels = kKernels,
                                 .macs = macs,
                                 .examples = examples};

constinit const OpDef kReduceMaxGrad = {.name = "reduce_max_grad",
                                        .cost_class = CostClass::kReduction,
                                        .min_inputs = 3,
                                        .max_inputs = 3,
                                        .infer = infer_max_grad,
                                        .lower = lower_max_grad,
                                        .kernels = kMaxGradKernels,
                                        .signature_inputs = 2,
                                        .examples = max_grad_examples};

}  // namespace ft::ops
