// All that the compiler knows of fully_connected. The loops live in
// kernels/fully_connected/.
//
// Attributes: act, keep_num_dims (1: y has x's leading dimensions, 0: y is
// [rows, n]), lora_scaling, zeros_in_x (1: x comes from a ReLU, so that
// skipping its zeros pays).
#include "kernels/fully_connected/fully_connected.h"

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/device_rows.h"
#include "ops/linear_examples.h"
#include "ops/skip_zeros.h"

namespace ft::ops {
namespace {

// x [..., k] or any shape of rows * k elements, w [n, k]
Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_act(node));
  const Shape &x = node.shape(0), &w = node.shape(1);
  if (w.rank() != 2 || w[0] < 1 || w[1] < 1)
    return node.error(
        fmt::format("w has shape {}, needs [n, k]", w.to_string()));
  const int64_t count = x.num_elements();
  if (x.rank() < 1 || count == 0 || count % w[1] != 0)
    return node.error(
        fmt::format("x {} does not form rows of k={}", x.to_string(), w[1]));
  const bool keep = node.attrs->get_int("keep_num_dims") != 0;
  if (keep && x.back() != w[1])
    return node.error(fmt::format("x {} ends with {}, w has k={}",
                                  x.to_string(), x.back(), w[1]));
  Shape y{count / w[1], w[0]};
  if (keep) {
    y = x;
    y.set(x.rank() - 1, w[0]);
  }
  FT_TRY_STATUS(check_count(node, y));
  FT_TRY(const DType dtype, linear_output_dtype(node, 0, w[1]));
  FT_TRY_STATUS(check_bias(node, w[0], dtype));
  FT_TRY_STATUS(check_low_rank(node, y, w[0], dtype));
  FT_TRY_STATUS(check_gain(node, w[0], dtype));
  return std::vector<TensorType>{{.dtype = dtype, .shape = y, .quant = {}}};
}

// Whether the gradient in front of the activation is 0 where that was.
bool has_zeros(const Attrs& attrs) {
  const int64_t act = attrs.get_int("act");
  return act == FT_ACT_RELU || act == FT_ACT_RELU6;
}

// dx = dpre w and dw = dpre^T x.
void gradient(GradientBuilder& g) {
  const ValueId x = g.input(0), w = g.input(1);
  const Shape xs = g.shape(x), ws = g.shape(w);
  const int64_t rows = xs.num_elements() / ws[1];
  const ValueId dpre = emit_gain_and_bias_grads(
      g, emit_reshape(g, emit_pre_activation_grad(g), {rows, ws[0]}), false);
  if (dpre == kNone) return;
  Attrs masked;  // of products with dpre
  if (has_zeros(g.attrs())) masked.set("zeros_in_a", int64_t{1});
  if (g.needs_grad(1)) {
    Attrs attrs = masked;
    attrs.set("trans_a", int64_t{1});
    if (g.attrs().get_int("zeros_in_x") != 0)
      attrs.set("zeros_in_b", int64_t{1});
    const ValueId x2 = emit_reshape(g, x, {rows, ws[1]});
    g.set_input_grad(1, g.emit(kMatmul, {dpre, x2}, std::move(attrs)));
  }
  set_low_rank_grads(g, dpre);
  if (g.needs_grad(0))
    g.set_input_grad(
        0, emit_reshape(g, g.emit(kMatmul, {dpre, w}, std::move(masked)), xs));
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape& w = node.shape(1);
  const int64_t rows = node.shape(0).num_elements() / w[1];
  ft_fully_connected_params p{.rows = static_cast<int32_t>(rows),
                              .n = static_cast<int32_t>(w[0]),
                              .k = static_cast<int32_t>(w[1]),
                              .rank = rank_of(node),
                              .act = FT_ACT_NONE,
                              .gain_bias = node.attrs->get_i("gain_bias"),
                              .x_zero_point = 0,
                              .y_zero_point = 0,
                              .q_low = -128,
                              .q_high = 127,
                              .x_scale = 1,
                              .lora_scaling = static_cast<float>(
                                  node.attrs->get_real("lora_scaling", 1))};
  set_quant_params(node, p);
  lowered.set_params(p);
  if (node.out(0).dtype != DType::kS8) return ok_status();
  return add_requantization(node, w[0], false, lowered);
}

int64_t macs(const NodeView& node) {
  return node.out(0).shape.num_elements() * (node.shape(1)[1] + rank_of(node));
}

std::vector<OpExample> examples() {
  const auto quant = quant_of_output(0.02f, -4);
  return {
      {.inputs = {f32({3, 10}), f32({4, 10}), f32({4})},
       .attrs = {{"act", FT_ACT_RELU}}},
      {.inputs = {f32({2, 3, 5}), f32({7, 5})},
       .attrs = {{"keep_num_dims", 1}, {"act", FT_ACT_RELU_N1}}},
      {.inputs = {f32({2, 2, 2, 3}), f32({5, 6})},
       .note = "rows across dimensions"},
      {.inputs = {f32({4, 9}), f32({6, 9}), f32({6}), f32({4, 2}), f32({6, 2})},
       .attrs = {{"lora_scaling", 0.5}}},
      {.inputs = {f32({1, 33}), f32({35, 33}), f32({35})}},
      {.inputs = {f32({5, 12}), f32({7, 12}), f32({7})},
       .attrs = {{"zeros_in_x", 1}, {"act", FT_ACT_RELU}}},
      {.inputs = {f32({5, 67}), f32({150, 67}), f32({150})},
       .attrs = {{"zeros_in_x", 1}, {"act", FT_ACT_RELU6}}},
      {.inputs = {f32({9, 13}), f32({50, 13}), f32({50}), f32({9, 3}),
                  f32({50, 3}), f32({50})},
       .attrs = {{"act", FT_ACT_RELU}},
       .note = "a gain"},
      {.inputs = {f32({3, 8}), f32({5, 8}), f32({5}), f32({3, 1}), f32({5, 1}),
                  f32({5})},
       .attrs = {{"gain_bias", 1}},
       .absent = {3, 4},
       .note = "a gain of the bias too"},
      {.inputs = {f32({9, 13}), f32({50, 13}), f32({50}), f32({9, 3}),
                  f32({50, 3})},
       .attrs = {{"act", FT_ACT_RELU6}},
       .low = -3,
       .high = 3},
      {.inputs = {s8({3, 20}, 0.04f, -11), s8({9, 20}, 0.01f, 0), s32({9})},
       .out_quant = quant},
      {.inputs = {s8({1, 70}, 0.04f, -11), s8_per_channel({33, 70}, 0)},
       .attrs = {{"act", FT_ACT_RELU}},
       .out_quant = quant},
      {.inputs = {s8({2, 16}, 0.05f, 7), s8({12, 16}, 0.02f, 0), s32({12}),
                  f32({2, 4}), f32({12, 4})},
       .attrs = {{"lora_scaling", 2.0}},
       .out_quant = quant},
      {.inputs = {s8({2, 16}, 0.05f, 7), s8({12, 16}, 0.02f, 0), s32({12}),
                  f32({2, 4}), f32({12, 4}), f32({12})},
       .attrs = {{"gain_bias", 1}},
       .out_quant = quant,
       .note = "a gain"},
      {.inputs = {s8({3, 20}, 0.04f, -11), f32({5, 20}), f32({5})}},
      {.inputs = {s8({50, 9}, 0.04f, -11), f32({18, 9}), f32({18}),
                  f32({50, 2}), f32({18, 2}), f32({18})},
       .attrs = {{"gain_bias", 1}, {"act", FT_ACT_RELU}},
       .note = "more rows than a block has"}};
}

bool has_zeros_only(const LowerContext& context) {
  for (size_t i = 3; i < context.view.num_inputs(); ++i)
    if (context.view.has(i)) return false;
  return context.view.attrs->get_int("zeros_in_x") != 0;
}

// Its columns of w are read with a stride, one line of the cache each.
bool skips_zeros(const LowerContext& context, const Lowered& lowered) {
  const int32_t n = lowered.params_as<ft_fully_connected_params>().n;
  return has_zeros_only(context) && n >= kFewestSkipped && n <= kMostStrided;
}

bool skips_zeros_hwy(const LowerContext& context, const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_fully_connected_params>();
  return has_zeros_only(context) && p.n >= kFewestListed &&
         p.k >= kFewestListedForward;
}

bool can_pack(const LowerContext& context, const Lowered& lowered) {
  return !context.constant(1).empty() &&
         ft_fully_connected_hwy_packing_pays(
             &lowered.params_as<ft_fully_connected_params>());
}

Status prepare_packed(const LowerContext& context, Lowered& lowered) {
  const auto p = lowered.params_as<ft_fully_connected_params>();
  std::vector<float> packed(ft_fully_connected_hwy_packed_bytes(&p) /
                            sizeof(float));
  ft_fully_connected_hwy_pack(
      &p, reinterpret_cast<const float*>(context.constant(1).data()),
      packed.data());
  lowered.add_aux<float>(packed);
  lowered.scratch_bytes = ft_fully_connected_hwy_scratch_bytes(&p, true);
  return ok_status();
}

// Packing the weights costs as much as a few rows, and much scratch.
bool has_many_rows(const LowerContext&, const Lowered& lowered) {
  return lowered.params_as<ft_fully_connected_params>().rows >= 8;
}

Status prepare_s8f32(const LowerContext&, Lowered& lowered) {
  lowered.scratch_bytes = ft_fully_connected_s8f32_hwy_scratch_bytes(
      &lowered.params_as<ft_fully_connected_params>());
  return ok_status();
}

Status prepare_skip(const LowerContext&, Lowered& lowered) {
  lowered.scratch_bytes = ft_fully_connected_skip_hwy_scratch_bytes(
      &lowered.params_as<ft_fully_connected_params>());
  return ok_status();
}

Status prepare_hwy(const LowerContext&, Lowered& lowered) {
  lowered.scratch_bytes = ft_fully_connected_hwy_scratch_bytes(
      &lowered.params_as<ft_fully_connected_params>(), false);
  return ok_status();
}

DeviceWeights device_weights(const ft_fully_connected_params& p) {
  return {p.n, p.k, p.x_zero_point, p.y_zero_point, false};
}

bool accepts_armdsp(const LowerContext& context, const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_fully_connected_params>();
  return can_pack_pairs(context, p.n, p.k);
}

Status prepare_armdsp(const LowerContext& context, Lowered& lowered) {
  const auto p = lowered.params_as<ft_fully_connected_params>();
  pack_pairs(context, device_weights(p), p.rank, lowered);
  lowered.scratch_bytes = (static_cast<size_t>(p.k) + 3) / 4 * 8;
  return ok_status();
}

bool accepts_helium(const LowerContext& context, const Lowered&) {
  return can_pack_rows(context);
}

Status prepare_helium(const LowerContext& context, Lowered& lowered) {
  const auto p = lowered.params_as<ft_fully_connected_params>();
  const auto k = static_cast<size_t>(p.k), wide = (k + 15) / 16 * 16;
  pack_rows_of_16(context, device_weights(p), p.rank, lowered);
  lowered.scratch_bytes = k == wide ? 0 : wide;
  return ok_status();
}

#if defined(__x86_64__)
bool available_vnni() {
  return ft_fully_connected_s8_avx512vnni_available() != 0;
}

bool accepts_vnni(const LowerContext& context, const Lowered&) {
  return has_constant_weights(context);
}

void pack_vnni(const void* params, const int8_t* w, const int32_t* bias,
               const int32_t* multiplier, const int32_t* shift, void* packed,
               void* channels) {
  ft_fully_connected_s8_avx512vnni_pack(
      static_cast<const ft_fully_connected_params*>(params), w, bias,
      multiplier, shift, packed, channels);
}

Status prepare_vnni(const LowerContext& context, Lowered& lowered) {
  const auto p = lowered.params_as<ft_fully_connected_params>();
  add_packed_weights(context, ft_fully_connected_s8_avx512vnni_packed_bytes(&p),
                     ft_fully_connected_s8_avx512vnni_channels_bytes(&p),
                     pack_vnni, lowered);
  lowered.scratch_bytes = ft_fully_connected_s8_avx512vnni_scratch_bytes(&p);
  return ok_status();
}
#endif

constexpr double kTolerance = 1e-5;
constexpr KernelDef kKernels[] = {
    {"ft_fully_connected_s8_helium", Isa::kHelium, "s8,s8->s8", nullptr,
     accepts_helium, prepare_helium},
    {"ft_fully_connected_s8_armdsp", Isa::kArmDsp, "s8,s8->s8", nullptr,
     accepts_armdsp, prepare_armdsp},
#if defined(__x86_64__)
    {"ft_fully_connected_s8_avx512vnni", Isa::kAvx512Vnni, "s8,s8->s8",
     &ft_fully_connected_s8_avx512vnni, accepts_vnni, prepare_vnni, 0,
     available_vnni},
#endif
    {"ft_fully_connected_skip_f32_hwy", Isa::kHighway, "f32,f32->f32",
     &ft_fully_connected_skip_f32_hwy, skips_zeros_hwy, prepare_skip,
     kTolerance},
    {"ft_fully_connected_f32_hwy_packed", Isa::kHighway, "f32,f32->f32",
     &ft_fully_connected_f32_hwy_packed, can_pack, prepare_packed, kTolerance},
    {"ft_fully_connected_f32_hwy", Isa::kHighway, "f32,f32->f32",
     &ft_fully_connected_f32_hwy, nullptr, prepare_hwy, kTolerance},
    {"ft_fully_connected_s8f32_hwy", Isa::kHighway, "s8,f32->f32",
     &ft_fully_connected_s8f32_hwy, has_many_rows, prepare_s8f32, kTolerance},
    {"ft_fully_connected_skip_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_fully_connected_skip_f32_c99, skips_zeros},
    {"ft_fully_connected_skip_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_fully_connected_skip_f64_c99, skips_zeros},
    {"ft_fully_connected_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_fully_connected_f32_c99},
    {"ft_fully_connected_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_fully_connected_f64_c99},
    {"ft_fully_connected_s8_c99", Isa::kC99, "s8,s8->s8",
     &ft_fully_connected_s8_c99},
    {"ft_fully_connected_s8f32_c99", Isa::kC99, "s8,f32->f32",
     &ft_fully_connected_s8f32_c99},
};

}  // namespace

constinit const OpDef kFullyConnected = {.name = "fully_connected",
                                         .cost_class = CostClass::kMatrix,
                                         .min_inputs = 2,
                                         .max_inputs = 6,
                                         .infer = infer,
                                         .gradient = gradient,
                                         .lower = lower,
                                         .kernels = kKernels,
                                         .signature_inputs = 2,
                                         .macs = macs,
                                         .examples = examples};

}  // namespace ft::ops
