#include "ops/bfp_common.h"

#include <algorithm>

#include "kernels/bfp_updates/bfp_updates.h"
#include "kernels/conv2d/conv2d.h"
#include "ops/conv_common.h"

namespace ft::ops {

SplitFactor split_factor(double value) {
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);
  auto factor = static_cast<float>(2 * fraction);
  if (factor >= 2) {
    factor = 1;
    ++exponent;
  }
  return {factor, exponent - 1};
}

FixedFactor fixed_factor(double real) {
  int exponent = 0;
  const double fraction = std::frexp(real, &exponent);
  const auto q = static_cast<int64_t>(std::round(fraction * 2147483648.0));
  if (q == int64_t{1} << 31) return {1 << 30, exponent - 30};
  return {static_cast<int32_t>(q), q == 0 ? 0 : exponent - 31};
}

TensorType bfp_type(const Shape& shape, float factor) {
  return {.dtype = DType::kS16,
          .shape = shape,
          .quant = QuantParams::per_tensor(factor, 0)};
}

TensorType with_units(TensorType vector, std::vector<float> units) {
  vector.quant.zero_point.assign(units.size(), 0);
  vector.quant.scale = std::move(units);
  return vector;
}

TensorType exponent_type() {
  return {.dtype = DType::kS32, .shape = {1}, .quant = {}};
}

Status check_state(const NodeView& node, size_t i) {
  if (!node.has(i)) return ok_status();
  if (node.in(i).dtype == DType::kS32 && node.shape(i) == Shape{1})
    return ok_status();
  return node.error(
      fmt::format("input {} is {}, needs int32[1]", i, node.in(i).to_string()));
}

Status check_units(const NodeView& node, const TensorType& type) {
  const QuantParams& q = type.quant;
  const size_t count = q.scale.size();
  const bool is_vector = type.shape.rank() == 1 && q.quantized_dimension == 0;
  const bool fits =
      count == 1 || (is_vector && static_cast<int64_t>(count) == type.shape[0]);
  const bool positive = std::ranges::all_of(
      q.scale, [](float s) { return std::isnormal(s) && s > 0; });
  if (type.dtype == DType::kS16 && fits && positive &&
      q.zero_point == std::vector<int32_t>(count, 0))
    return ok_status();
  return node.error(
      fmt::format("{} needs to be int16 with one positive scale, or a vector "
                  "with one for each value",
                  type.to_string()));
}

Status check_bfp(const NodeView& node, size_t i, size_t exponent) {
  FT_TRY_STATUS(check_bfp_units(node, i, exponent));
  if (node.in(i).quant.scale.size() == 1) return ok_status();
  return node.error(fmt::format("input {} has {} scales, needs one", i,
                                node.in(i).quant.scale.size()));
}

Status check_bfp_units(const NodeView& node, size_t i, size_t exponent) {
  const TensorType& type = node.in(i);
  FT_TRY_STATUS(check_count(node, type.shape));
  FT_TRY_STATUS(check_units(node, type));
  if (type.shape.num_elements() == 0)
    return node.error(fmt::format("input {} is empty", i));
  if (!node.has(exponent))
    return node.error(fmt::format("input {} has no exponent", i));
  return check_state(node, exponent);
}

Status check_operand(const NodeView& node, size_t i, size_t exponent) {
  if (node.in(i).dtype != DType::kS8) return check_bfp(node, i, exponent);
  FT_TRY_STATUS(check_count(node, node.shape(i)));
  FT_TRY_STATUS(check_s8(node, i, fmt::format("input {}", i), false));
  if (node.shape(i).num_elements() == 0)
    return node.error(fmt::format("input {} is empty", i));
  if (!node.has(exponent)) return ok_status();
  return node.error(fmt::format("int8 input {} has an exponent", i));
}

Status check_bfp_hyper(const NodeView& node, size_t i) {
  if (node.in(i).dtype == DType::kS32 && node.shape(i) == Shape{FT_BFP_HYPER})
    return ok_status();
  return node.error(fmt::format("hyper must be int32[{}], got {}",
                                int{FT_BFP_HYPER}, node.in(i).to_string()));
}

#if defined(__x86_64__)
bool has_avx512vnni() { return ft_conv2d_s8_avx512vnni_available() != 0; }
#endif

double factor_of(const NodeView& node, size_t i) {
  return static_cast<double>(node.in(i).quant.scale[0]);
}

Status check_bfp_side(const NodeView& node, size_t i, int64_t rows,
                      int64_t out_c) {
  for (size_t k = i + 1; k < i + 4; ++k)
    if (node.has(k) != node.has(i))
      return node.error("h, lora_b and their exponents go together");
  if (!node.has(i)) return ok_status();
  FT_TRY_STATUS(check_bfp(node, i, i + 1));
  FT_TRY_STATUS(check_bfp(node, i + 2, i + 3));
  const Shape &h = node.shape(i), &b = node.shape(i + 2);
  const double scaling = node.attrs->get_real("lora_scaling", 1);
  if (!(scaling > 0 && scaling < 1e6))
    return node.error(fmt::format("lora_scaling is {}", scaling));
  if (b.rank() == 2 && b[0] == out_c && h.rank() > 0 && h.back() == b[1] &&
      h.num_elements() / h.back() == rows)
    return ok_status();
  return node.error(
      fmt::format("h {} and lora_b {} do not fit {} pixels of {} channels",
                  h.to_string(), b.to_string(), rows, out_c));
}

Status check_bfp_vector(const NodeView& node, size_t i, const char* what,
                        const Shape& shape) {
  if (node.has(i) != node.has(i + 1))
    return node.error(fmt::format("{} and its exponent go together", what));
  if (!node.has(i)) return ok_status();
  FT_TRY_STATUS(check_bfp(node, i, i + 1));
  if (node.shape(i) == shape) return ok_status();
  return node.error(fmt::format("{} is {}, needs {}", what,
                                node.shape(i).to_string(), shape.to_string()));
}

void add_accumulator_scales(const NodeView& node, int64_t out_c, double factor,
                            bool side_in_x_units, Lowered& lowered) {
  std::vector<int32_t> multiplier, exponent;
  for (const float w_scale : channel_scales(node.in(1), out_c)) {
    double unit = static_cast<double>(w_scale);
    if (!side_in_x_units) unit *= factor_of(node, 0);
    const FixedFactor f = fixed_factor(factor / unit);
    multiplier.push_back(f.multiplier);
    exponent.push_back(f.exponent);
  }
  lowered.add_aux<int32_t>(multiplier);
  lowered.add_aux<int32_t>(exponent);
}

TwinView::TwinView(const NodeView& node, std::vector<size_t> inputs)
    : view_(node) {
  types_.reserve(inputs.size());
  view_.inputs.clear();
  view_.outputs.clear();
  view_.wanted_quant = {};
  for (const size_t i : inputs) {
    if (!node.has(i)) {
      view_.inputs.push_back(nullptr);
      continue;
    }
    const bool index = node.in(i).dtype == DType::kS32;
    types_.push_back({.dtype = index ? DType::kS32 : DType::kF32,
                      .shape = node.shape(i),
                      .quant = {}});
    view_.inputs.push_back(&types_.back());
  }
}

Result<Shape> TwinView::infer(const OpDef& twin) {
  FT_TRY(const auto types, twin.infer(view_));
  return types[0].shape;
}

Status TwinView::lower(const OpDef& twin, const LowerContext& context,
                       const Shape& output) {
  output_ = {.dtype = DType::kF32, .shape = output, .quant = {}};
  view_.outputs = {&output_};
  return twin.lower({context.graph, context.node, view_}, lowered_);
}

}  // namespace ft::ops
