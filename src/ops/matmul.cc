// All that the compiler knows of matmul. The loops live in kernels/matmul/.
//
// Attributes: trans_a, trans_b (0 or 1), alpha (default 1), zeros_in_a and
// zeros_in_b (1: a ReLU made or masked it, so that skipping its zeros pays).
#include "kernels/matmul/matmul.h"

#include <algorithm>

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/division.h"
#include "ops/linear_examples.h"
#include "ops/quantize_multiplier.h"
#include "ops/skip_zeros.h"

namespace ft::ops {
namespace {

struct Dims {
  int64_t batch, m, n, k, k_of_b, batch_of_b;
};

int64_t leading(const Shape& s) {
  int64_t n = 1;
  for (int i = 0; i + 2 < s.rank(); ++i) n *= s[i];
  return n;
}

Dims dims_of(const NodeView& node) {
  const Shape &a = node.shape(0), &b = node.shape(1);
  const bool ta = node.attrs->get_int("trans_a") != 0;
  const bool tb = node.attrs->get_int("trans_b") != 0;
  const auto at = [](const Shape& s, int from_end) {
    return s[s.rank() - from_end];
  };
  return {.batch = leading(a),
          .m = at(a, ta ? 1 : 2),
          .n = at(b, tb ? 2 : 1),
          .k = at(a, ta ? 2 : 1),
          .k_of_b = at(b, tb ? 1 : 2),
          .batch_of_b = leading(b)};
}

// One scale, or one for each index of one of the last two dimensions; one zero
// point in any case, as all kernels read it once.
Status check_operand(const NodeView& node, size_t i, const char* name) {
  if (node.in(i).dtype != DType::kS8) return check_real(node, i);
  const QuantParams& q = node.in(i).quant;
  const int rank = node.shape(i).rank();
  const int axis = q.is_per_channel() ? q.quantized_dimension : -1;
  if (axis >= 0 && axis + 2 < rank)
    return node.error(
        fmt::format("{} has scales along dimension {}", name, axis));
  FT_TRY_STATUS(check_s8(node, i, name, false, axis));
  if (std::ranges::adjacent_find(q.zero_point, std::ranges::not_equal_to()) ==
      q.zero_point.end())
    return ok_status();
  return node.error(fmt::format("{} has different zero points", name));
}

Result<DType> output_dtype(const NodeView& node, int64_t k) {
  FT_TRY_STATUS(check_operand(node, 0, "a"));
  FT_TRY_STATUS(check_operand(node, 1, "b"));
  const DType a = node.in(0).dtype, b = node.in(1).dtype;
  if (a != DType::kS8 && b != DType::kS8) {
    FT_TRY_STATUS(check_same_dtype(node, 0, 1));
    return a;
  }
  if (a != b) return a == DType::kS8 ? b : a;
  if (node.in(0).quant.is_per_channel() || node.in(1).quant.is_per_channel())
    return node.error("int8 a and b must have one scale each");
  if (k > kMaxInt8SumLength / 2)
    return node.error(fmt::format(
        "sums of {} int8 products may overflow int32, at most {} do not", k,
        kMaxInt8SumLength / 2));
  FT_TRY_STATUS(check_wanted_quant(node));
  return DType::kS8;
}

// c[..., m, n] = alpha * op(a)[..., m, k] * op(b)[..., k, n]
Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  const Shape &a = node.shape(0), &b = node.shape(1);
  if (a.rank() < 2 || b.rank() < 2)
    return node.error(fmt::format("needs matrices, got {} and {}",
                                  a.to_string(), b.to_string()));
  const Dims d = dims_of(node);
  if (d.k != d.k_of_b)
    return node.error(fmt::format("a has k={}, b has k={}", d.k, d.k_of_b));
  if (d.batch != d.batch_of_b && d.batch_of_b != 1)
    return node.error(
        fmt::format("a has {} matrices, b has {}", d.batch, d.batch_of_b));
  Shape c = a;
  c.set(a.rank() - 2, d.m);
  c.set(a.rank() - 1, d.n);
  FT_TRY_STATUS(check_count(node, c));
  FT_TRY(const DType dtype, output_dtype(node, d.k));
  return std::vector<TensorType>{{.dtype = dtype, .shape = c, .quant = {}}};
}

// Sum of `db`, one matrix for each of a's, over the batch that shares b.
ValueId sum_over_batch(GradientBuilder& g, ValueId db, const Shape& b) {
  if (db == kNone || g.shape(db) == b) return db;
  const Shape shape = g.shape(db);
  const Shape stack{leading(shape), shape[shape.rank() - 2], shape.back()};
  const ValueId stacked = emit_reshape(g, db, stack);
  const ValueId sum = g.emit(
      kReduce, {stacked},
      {{"kind", "sum"}, {"axes", std::vector<int64_t>{0}}, {"keep_dims", 0}});
  return emit_reshape(g, sum, b);
}

// da = dc * b^T and db = a^T * dc, in the storage order that the transposes
// ask for.
void gradient(GradientBuilder& g) {
  const ValueId a = g.input(0), b = g.input(1);
  const ValueId dc = emit_pre_activation_grad(g);
  const auto ta = g.attrs().get_int("trans_a");
  const auto tb = g.attrs().get_int("trans_b");
  const double alpha = g.attrs().get_real("alpha", 1);
  const Shape a_shape = g.shape(a), b_shape = g.shape(b);
  const auto product = [&](ValueId x, ValueId y, int64_t tx, int64_t ty) {
    return g.emit(kMatmul, {x, y},
                  {{"trans_a", tx}, {"trans_b", ty}, {"alpha", alpha}});
  };
  const bool shared = leading(b_shape) != leading(a_shape);
  if (g.needs_grad(0)) {
    if (ta && shared)
      return g.fail(internal_error(
          "matmul: no gradient for a transposed a with one b for all"));
    g.set_input_grad(0, ta ? product(b, dc, tb, 1) : product(dc, b, 0, !tb));
  }
  if (g.needs_grad(1))
    g.set_input_grad(
        1,
        sum_over_batch(g, tb ? product(dc, a, 1, ta) : product(a, dc, !ta, 0),
                       b_shape));
}

int32_t scale_axis(const NodeView& node, size_t operand) {
  const TensorType& type = node.in(operand);
  if (!type.quant.is_per_channel()) return FT_SCALE_PER_TENSOR;
  const bool is_last = type.quant.quantized_dimension == type.shape.rank() - 1;
  const bool trans = node.attrs->get_int(operand ? "trans_b" : "trans_a") != 0;
  const bool last_is_k = operand == 1 ? trans : !trans;
  return is_last == last_is_k ? FT_SCALE_ALONG_K : FT_SCALE_ALONG_MN;
}

// The reference rounds the product of the operands' scales to float32.
void set_requantization(const NodeView& node, ft_matmul_params& p) {
  const float product = node.in(0).quant.scale[0] * node.in(1).quant.scale[0];
  const QuantParams& y = node.out(0).quant;
  const auto q = quantize_multiplier(node.attrs->get_real("alpha", 1) *
                                     static_cast<double>(product) /
                                     static_cast<double>(y.scale[0]));
  p.multiplier = q.multiplier;
  p.shift = q.shift;
  p.y_zero_point = y.zero_point[0];
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Dims d = dims_of(node);
  const auto zero_point = [&node](size_t i) {
    return node.in(i).dtype == DType::kS8 ? node.in(i).quant.zero_point[0] : 0;
  };
  ft_matmul_params p{
      .batch = static_cast<int32_t>(d.batch),
      .m = static_cast<int32_t>(d.m),
      .n = static_cast<int32_t>(d.n),
      .k = static_cast<int32_t>(d.k),
      .trans_a = node.attrs->get_i("trans_a"),
      .trans_b = node.attrs->get_i("trans_b"),
      .broadcast_b = d.batch_of_b == 1 && d.batch != 1,
      .a_zero_point = zero_point(0),
      .b_zero_point = zero_point(1),
      .scale_axis = FT_SCALE_PER_TENSOR,
      .multiplier = 0,
      .shift = 0,
      .y_zero_point = 0,
      .alpha = static_cast<float>(node.attrs->get_real("alpha", 1))};
  if (node.out(0).dtype == DType::kS8) {
    set_requantization(node, p);
  } else {
    for (size_t i = 0; i < 2; ++i) {
      if (node.in(i).dtype != DType::kS8) continue;
      p.scale_axis = scale_axis(node, i);
      lowered.add_aux<float>(node.in(i).quant.scale);
    }
  }
  lowered.set_params(p);
  return ok_status();
}

int64_t macs(const NodeView& node) {
  const Dims d = dims_of(node);
  return d.batch * d.m * d.n * d.k;
}

std::vector<OpExample> examples() {
  std::vector<OpExample> all{
      {.inputs = {f32({3, 5}), f32({5, 4})}},
      {.inputs = {f32({5, 3}), f32({5, 4})}, .attrs = {{"trans_a", 1}}},
      {.inputs = {f32({3, 5}), f32({4, 5})},
       .attrs = {{"trans_b", 1}, {"alpha", 0.25}}},
      {.inputs = {f32({2, 5, 3}), f32({2, 4, 5})},
       .attrs = {{"trans_a", 1}, {"trans_b", 1}}},
      {.inputs = {f32({2, 3, 5}), f32({5, 4})}, .note = "one b for both"},
      {.inputs = {f32({17, 11}), f32({11, 37})}},
      {.inputs = {f32({9, 11}), f32({11, 17})}, .attrs = {{"zeros_in_a", 1}}},
      {.inputs = {f32({9, 11}), f32({9, 17})},
       .attrs = {{"zeros_in_b", 1}, {"trans_a", 1}}},
      {.inputs = {f32({19, 21}), f32({21, 112})}, .attrs = {{"zeros_in_a", 1}}},
      {.inputs = {f32({21, 19}), f32({21, 112})},
       .attrs = {{"zeros_in_a", 1}, {"trans_a", 1}, {"alpha", 0.5}}},
      {.inputs = {f32({21, 112}), f32({21, 19})},
       .attrs = {{"zeros_in_b", 1}, {"trans_a", 1}, {"alpha", 0.5}}},
      {.inputs = {f32({9, 11}), s8({9, 17}, 0.02f, 3)},
       .attrs = {{"zeros_in_a", 1}, {"trans_a", 1}}},
      {.inputs = {f32({23, 13}), f32({23, 33})}, .attrs = {{"trans_a", 1}}}};
  for (const int ta : {0, 1}) {
    for (const int tb : {0, 1}) {
      const Shape a = ta ? Shape{2, 7, 5} : Shape{2, 5, 7};
      const Shape b = tb ? Shape{2, 9, 7} : Shape{2, 7, 9};
      const Attrs attrs{{"trans_a", ta}, {"trans_b", tb}, {"alpha", 0.5}};
      all.push_back({.inputs = {f32(a), s8(b, 0.02f, 3)}, .attrs = attrs});
      all.push_back({.inputs = {f32(a), s8_per_channel(b, 1)}, .attrs = attrs});
      all.push_back({.inputs = {s8(a, 0.02f, 3), f32(b)}, .attrs = attrs});
      all.push_back({.inputs = {s8_per_channel(a, 2), f32(b)}, .attrs = attrs});
      all.push_back({.inputs = {s8(a, 0.02f, 3), s8(b, 0.03f, -8)},
                     .attrs = attrs,
                     .out_quant = quant_of_output(0.05f, 4)});
    }
  }
  return all;
}

Status prepare_hwy(const LowerContext&, Lowered& lowered) {
  lowered.scratch_bytes =
      ft_matmul_hwy_scratch_bytes(&lowered.params_as<ft_matmul_params>());
  return ok_status();
}

// Measured on one core with AVX-512: oneDNN's packing and dispatch repay from
// here on; below, the Highway row is faster.
bool is_large(const LowerContext&, const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_matmul_params>();
  return p.m >= 64 && p.n >= 64 && p.k >= 64 &&
         int64_t{p.m} * p.n * p.k >= int64_t{256} * 256 * 256;
}

bool skips_a(const LowerContext& context, const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_matmul_params>();
  return context.view.attrs->get_int("zeros_in_a") != 0 && !p.trans_b &&
         p.n >= kFewestSkipped;
}

bool skips_b(const LowerContext& context, const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_matmul_params>();
  return context.view.attrs->get_int("zeros_in_b") != 0 &&
         p.m >= kFewestSkipped && p.m <= kMostStrided;
}

bool skips_a_hwy(const LowerContext& context, const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_matmul_params>();
  return context.view.attrs->get_int("zeros_in_a") != 0 &&
         ft_matmul_skip_a_hwy_accepts(&p) != 0 && p.k >= kFewestListed;
}

Status prepare_skip(const LowerContext&, Lowered& lowered) {
  lowered.scratch_bytes = ft_matmul_skip_a_hwy_scratch_bytes(
      &lowered.params_as<ft_matmul_params>());
  return ok_status();
}

constexpr double kTolerance = 1e-5;
constexpr KernelDef kKernels[] = {
    {"ft_matmul_f32_onednn", Isa::kOneDnn, "f32,f32->f32",
     &ft_matmul_f32_onednn, is_large, nullptr, kTolerance},
    {"ft_matmul_skip_a_f32_hwy", Isa::kHighway, "f32,f32->f32",
     &ft_matmul_skip_a_f32_hwy, skips_a_hwy, prepare_skip, kTolerance},
    {"ft_matmul_f32_hwy", Isa::kHighway, "f32,f32->f32", &ft_matmul_f32_hwy,
     nullptr, prepare_hwy, kTolerance},
    {"ft_matmul_f32s8_hwy", Isa::kHighway, "f32,s8->f32", &ft_matmul_f32s8_hwy,
     nullptr, prepare_hwy, kTolerance},
    {"ft_matmul_skip_a_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_matmul_skip_a_f32_c99, skips_a},
    {"ft_matmul_skip_a_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_matmul_skip_a_f64_c99, skips_a},
    {"ft_matmul_skip_a_f32s8_c99", Isa::kC99, "f32,s8->f32",
     &ft_matmul_skip_a_f32s8_c99, skips_a},
    {"ft_matmul_skip_b_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_matmul_skip_b_f32_c99, skips_b},
    {"ft_matmul_skip_b_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_matmul_skip_b_f64_c99, skips_b},
    {"ft_matmul_f32_c99", Isa::kC99, "f32,f32->f32", &ft_matmul_f32_c99},
    {"ft_matmul_f64_c99", Isa::kC99, "f64,f64->f64", &ft_matmul_f64_c99},
    {"ft_matmul_f32s8_c99", Isa::kC99, "f32,s8->f32", &ft_matmul_f32s8_c99},
    {"ft_matmul_s8f32_c99", Isa::kC99, "s8,f32->f32", &ft_matmul_s8f32_c99},
    {"ft_matmul_s8_c99", Isa::kC99, "s8,s8->s8", &ft_matmul_s8_c99},
};

// Elements of c; rows that skip zeros, and int8 ones, have no such order.
Division divide_sums(const KernelDef& row, const NodeView& /*node*/,
                     const Lowered& lowered) {
  const bool skips = row.symbol.find("_skip_") != std::string_view::npos;
  if (skips || row.signature == "s8,s8->s8") return {};
  const auto& p = lowered.params_as<ft_matmul_params>();
  return in_units(int64_t{p.batch} * p.m * p.n);
}

}  // namespace

constinit const OpDef kMatmul = {.name = "matmul",
                                 .cost_class = CostClass::kMatrix,
                                 .min_inputs = 2,
                                 .max_inputs = 2,
                                 .infer = infer,
                                 .gradient = gradient,
                                 .lower = lower,
                                 .kernels = kKernels,
                                 .signature_inputs = 2,
                                 .divide = divide_sums,
                                 .macs = macs,
                                 .examples = examples};

}  // namespace ft::ops
