// Matrix product on block floating point. The loops live in
// kernels/bfp_matmul/. Attributes: trans_a, trans_b, alpha (part of the
// result's factor).
#include "kernels/bfp_matmul/bfp_matmul.h"

#include "kernels/matmul/matmul.h"
#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/conv_common.h"
#include "ops/division.h"
#include "ops/linear_examples.h"

namespace ft::ops {
namespace {

bool is_per_channel(const NodeView& node, size_t i) {
  return node.in(i).dtype == DType::kS8 && node.in(i).quant.is_per_channel();
}

// Which int8 operand has a scale for each index along k; kNone: neither has.
Result<int> shared_operand(const NodeView& node) {
  for (size_t i = 0; i < 2; ++i) {
    if (!is_per_channel(node, i)) continue;
    const bool trans = node.attrs->get_int(i == 1 ? "trans_b" : "trans_a") != 0;
    const int rank = node.shape(i).rank();
    const int k_axis = (i == 1) == trans ? rank - 1 : rank - 2;
    FT_TRY_STATUS(check_s8(node, i, "w", true, k_axis));
    if (is_per_channel(node, 1 - i))
      return node.error("both operands have a scale for each index");
    return static_cast<int>(i);
  }
  return kNone;
}

double largest_factor(const NodeView& node, size_t i) {
  float largest = 0;
  for (const float s : node.in(i).quant.scale) largest = std::max(largest, s);
  return static_cast<double>(largest);
}

double result_factor(const NodeView& node) {
  return largest_factor(node, 0) * largest_factor(node, 1) *
         node.attrs->get_real("alpha", 1);
}

Status check_factor(const NodeView& node, size_t i) {
  if (!is_per_channel(node, i)) return check_operand(node, i, i + 2);
  FT_TRY_STATUS(check_count(node, node.shape(i)));
  if (node.shape(i).rank() < 2) return node.error("needs matrices");
  if (node.shape(i).num_elements() == 0)
    return node.error(fmt::format("input {} is empty", i));
  if (node.has(i + 2)) return node.error("int8 operand has an exponent");
  return ok_status();
}

// a, b, a_exp, b_exp, predicted
Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_factor(node, 0));
  FT_TRY_STATUS(check_factor(node, 1));
  FT_TRY_STATUS(check_state(node, 4));
  FT_TRY(const Shape c, TwinView(node, {0, 1}).infer(kMatmul));
  FT_TRY(const int shared, shared_operand(node));
  if (shared != kNone &&
      node.in(static_cast<size_t>(shared)).quant.scale.size() >
          kMaxInt8SumLength)
    return node.error("the sums are too long");
  const double alpha = node.attrs->get_real("alpha", 1);
  const double factor = result_factor(node);
  if (!(alpha > 0) || !std::isnormal(static_cast<float>(factor)))
    return node.error(fmt::format("alpha is {}, must be positive", alpha));
  return std::vector<TensorType>{bfp_type(c, split_factor(factor).factor),
                                 exponent_type()};
}

int32_t zero_point_of(const NodeView& node, size_t i) {
  return node.in(i).dtype == DType::kS8 ? node.in(i).quant.zero_point[0] : 0;
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  FT_TRY(const ft_matmul_params twin,
         TwinView(node, {0, 1})
             .params<ft_matmul_params>(kMatmul, context, node.out(0).shape));
  FT_TRY(const int shared, shared_operand(node));
  lowered.set_params(ft_bfp_matmul_params{
      .batch = twin.batch,
      .m = twin.m,
      .n = twin.n,
      .k = twin.k,
      .trans_a = twin.trans_a,
      .trans_b = twin.trans_b,
      .broadcast_b = twin.broadcast_b,
      .a_is_s8 = node.in(0).dtype == DType::kS8,
      .b_is_s8 = node.in(1).dtype == DType::kS8,
      .a_zero_point = zero_point_of(node, 0),
      .b_zero_point = zero_point_of(node, 1),
      .has_share = shared != kNone,
      .exponent = split_factor(result_factor(node)).exponent});
  lowered.scratch_bytes = static_cast<size_t>(twin.n) * sizeof(int64_t);
  if (shared == kNone) return ok_status();
  const auto i = static_cast<size_t>(shared);
  std::vector<int32_t> share;
  for (const float s : node.in(i).quant.scale)
    share.push_back(static_cast<int32_t>(
        std::lround(static_cast<double>(s) / largest_factor(node, i) * 32768)));
  lowered.add_aux<int32_t>(share);
  return ok_status();
}

int64_t macs(const NodeView& node) {
  const Shape& a = node.shape(0);
  const bool trans = node.attrs->get_int("trans_a") != 0;
  return node.out(0).shape.num_elements() * a[a.rank() - (trans ? 2 : 1)];
}

std::vector<OpExample> examples() {
  const TensorType e = exponent_type();
  const TensorType a = bfp_type({2, 5, 7}, 1.25f), b = bfp_type({2, 7, 9}, 1);
  const TensorType dy = bfp_type({6, 9}, 1.75f);
  return {{.inputs = {a, b, e, e, e}, .attrs = {{"alpha", 2.5}}},
          {.inputs = {a, bfp_type({9, 7}, 1), e, e},
           .attrs = {{"trans_b", 1}},
           .note = "one b for both"},
          {.inputs = {dy, s8({6, 4}, 0.1f, -7), e, e, e},
           .attrs = {{"trans_a", 1}},
           .absent = {3}},
          {.inputs = {dy, s8_per_channel({9, 4}, 0), e, e, e}, .absent = {3}},
          {.inputs = {s8({3, 8}, 0.1f, 5), bfp_type({4, 8}, 1.5f), e, e},
           .attrs = {{"trans_b", 1}},
           .absent = {2}}};
}

constexpr KernelDef kKernels[] = {
#if defined(__x86_64__)
    {"ft_bfp_matmul_avx512vnni", Isa::kAvx512Vnni, "s16,s16->s16",
     &ft_bfp_matmul_avx512vnni, nullptr, nullptr, 0, has_avx512vnni},
    {"ft_bfp_matmul_avx512vnni", Isa::kAvx512Vnni, "s16,s8->s16",
     &ft_bfp_matmul_avx512vnni, nullptr, nullptr, 0, has_avx512vnni},
    {"ft_bfp_matmul_avx512vnni", Isa::kAvx512Vnni, "s8,s16->s16",
     &ft_bfp_matmul_avx512vnni, nullptr, nullptr, 0, has_avx512vnni},
#endif
    {"ft_bfp_matmul_c99", Isa::kC99, "s16,s16->s16", &ft_bfp_matmul_c99},
    {"ft_bfp_matmul_c99", Isa::kC99, "s16,s8->s16", &ft_bfp_matmul_c99},
    {"ft_bfp_matmul_c99", Isa::kC99, "s8,s16->s16", &ft_bfp_matmul_c99},
    {"ft_bfp_matmul_c99", Isa::kC99, "s8,s8->s16", &ft_bfp_matmul_c99},
};

Division divide_rows(const KernelDef& /*row*/, const NodeView& /*node*/,
                     const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_bfp_matmul_params>();
  return in_bfp_fills(int64_t{p.batch} * p.m);
}

}  // namespace

constinit const OpDef kBfpMatmul = {.name = "bfp_matmul",
                                    .cost_class = CostClass::kMatrix,
                                    .min_inputs = 2,
                                    .max_inputs = 5,
                                    .infer = infer,
                                    .lower = lower,
                                    .kernels = kKernels,
                                    .signature_inputs = 2,
                                    .divide = divide_rows,
                                    .mutates = 1u << 4,
                                    .macs = macs,
                                    .examples = examples};

}  // namespace ft::ops
