// All that the compiler knows of conv2d. The loops live in kernels/conv2d/.
#include "kernels/conv2d/conv2d.h"

#include "kernels/conv2d/im2col_s8.h"
#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/device_rows.h"
#include "ops/division.h"
#include "ops/linear_examples.h"
#include "ops/overlap.h"

namespace ft::ops {
namespace {

// x [n, h, w, cin], w [cout, kh, kw, cin / groups]
Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_image(node, 0, "x"));
  FT_TRY_STATUS(check_image(node, 1, "w"));
  FT_TRY_STATUS(check_conv_attrs(node));
  const Shape &x = node.shape(0), &w = node.shape(1);
  if (x[3] % w[3] != 0 || w[0] % (x[3] / w[3]) != 0)
    return node.error(
        fmt::format("x has {} channels, w {} inputs and {} outputs, which do "
                    "not form groups",
                    x[3], w[3], w[0]));
  FT_TRY(const ImageSize out,
         conv_output_size(node, {x[1], x[2]}, {w[1], w[2]}));
  const Shape y{x[0], out.h, out.w, w[0]};
  FT_TRY_STATUS(check_count(node, y));
  FT_TRY(const DType dtype, linear_output_dtype(node, 0, w[1] * w[2] * w[3]));
  FT_TRY_STATUS(check_bias(node, w[0], dtype));
  FT_TRY_STATUS(check_low_rank(node, y, w[0], dtype));
  FT_TRY_STATUS(check_gain(node, w[0], dtype));
  return std::vector<TensorType>{{.dtype = dtype, .shape = y, .quant = {}}};
}

void gradient(GradientBuilder& g) {
  const ValueId x = g.input(0), w = g.input(1);
  const Shape xs = g.shape(x), ws = g.shape(w);
  const ValueId dpre =
      emit_gain_and_bias_grads(g, emit_pre_activation_grad(g), false);
  Attrs attrs = geometry_attrs(g.attrs());
  attrs.set("groups", xs[3] / ws[3]);
  if (g.needs_grad(1)) {
    Attrs weight_attrs = attrs;
    weight_attrs.set("k_h", ws[1]);
    weight_attrs.set("k_w", ws[2]);
    g.set_input_grad(1, g.emit(kConv2dWeightGrad, {x, dpre}, weight_attrs));
  }
  set_low_rank_grads(g, dpre);
  // Last: by then x and h may have had their last reader, and dx takes their
  // place.
  if (g.needs_grad(0)) {
    Attrs input_attrs = attrs;
    input_attrs.set("in_h", xs[1]);
    input_attrs.set("in_w", xs[2]);
    g.set_input_grad(0, g.emit(kConv2dInputGrad, {dpre, w}, input_attrs));
  }
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape &x = node.shape(0), &w = node.shape(1), &y = node.out(0).shape;
  ft_conv2d_params p = conv_params(node, {.batch = x[0],
                                          .in_h = x[1],
                                          .in_w = x[2],
                                          .in_c = x[3],
                                          .out_h = y[1],
                                          .out_w = y[2],
                                          .out_c = y[3],
                                          .k_h = w[1],
                                          .k_w = w[2],
                                          .groups = x[3] / w[3]});
  p.rank = rank_of(node);
  set_quant_params(node, p);
  lowered.set_params(p);
  if (node.out(0).dtype != DType::kS8) return ok_status();
  return add_requantization(node, y[3], false, lowered);
}

int64_t macs(const NodeView& node) {
  const Shape &w = node.shape(1), &y = node.out(0).shape;
  return y.num_elements() * (w[1] * w[2] * w[3] + rank_of(node));
}

std::vector<OpExample> float_examples() {
  return {
      {.inputs = {f32({2, 5, 7, 3}), f32({4, 3, 2, 3}), f32({4})},
       .attrs = {{"stride_h", 2},
                 {"pad_top", 1},
                 {"pad_bottom", 1},
                 {"act", FT_ACT_RELU}}},
      {.inputs = {f32({1, 9, 8, 1}), f32({5, 4, 3, 1})},
       .attrs = {{"stride_w", 2},
                 {"pad_top", 1},
                 {"pad_bottom", 2},
                 {"pad_left", 1},
                 {"pad_right", 1}}},
      {.inputs = {f32({2, 3, 3, 6}), f32({5, 1, 1, 6}), f32({5}),
                  f32({2, 3, 3, 2}), f32({5, 2})},
       .attrs = {{"act", FT_ACT_RELU}, {"lora_scaling", 0.5}}},
      {.inputs = {f32({1, 6, 6, 4}), f32({6, 3, 3, 2})},
       .attrs = {{"dilation_h", 2}, {"dilation_w", 2}, {"act", FT_ACT_RELU_N1}},
       .note = "two groups"},
      {.inputs = {f32({2, 4, 4, 3}), f32({2, 3, 3, 3}), f32({2}),
                  f32({2, 2, 2, 3}), f32({2, 3})},
       .attrs = {{"lora_scaling", 2.0}},
       .absent = {2}},
      {.inputs = {f32({1, 11, 9, 7}), f32({37, 1, 1, 7}), f32({37})},
       .attrs = {{"act", FT_ACT_RELU6}}},
      {.inputs = {f32({2, 4, 5, 3}), f32({19, 2, 2, 3}), f32({19}),
                  f32({2, 3, 4, 2}), f32({19, 2}), f32({19})},
       .attrs = {{"act", FT_ACT_RELU}, {"lora_scaling", 0.5}},
       .note = "a gain"},
      {.inputs = {f32({1, 4, 4, 3}), f32({5, 1, 1, 3}), f32({5}), f32({16, 1}),
                  f32({5, 1}), f32({5})},
       .attrs = {{"gain_bias", 1}},
       .absent = {3, 4},
       .note = "a gain of the bias too"},
      {.inputs = {f32({1, 5, 5, 17}), f32({33, 2, 2, 17})},
       .attrs = {{"stride_h", 2}, {"stride_w", 2}},
       .note = "the window leaves out the last row"}};
}

std::vector<OpExample> examples() {
  std::vector<OpExample> all = float_examples();
  const TensorType x8 = s8({1, 5, 6, 3}, 0.03f, -7);
  const TensorType w8 = s8_per_channel({8, 3, 3, 3}, 0);
  const Attrs same{{"pad_top", 1},
                   {"pad_left", 1},
                   {"pad_bottom", 1},
                   {"pad_right", 1},
                   {"act", FT_ACT_RELU}};
  const auto quant = quant_of_output(0.011f, -20);
  all.push_back(
      {.inputs = {x8, w8, s32({8})}, .attrs = same, .out_quant = quant});
  all.push_back({.inputs = {x8, w8, s32({8}), f32({1, 5, 6, 4}), f32({8, 4})},
                 .attrs = same,
                 .out_quant = quant});
  all.push_back({.inputs = {s8({2, 4, 4, 16}, 0.05f, 3),
                            s8_per_channel({21, 1, 1, 16}, 0), s32({21})},
                 .attrs = {{"act", FT_ACT_RELU6}},
                 .out_quant = quant_of_output(0.04f, -128)});
  all.push_back(
      {.inputs = {s8({1, 7, 5, 4}, 0.05f, 127), s8({6, 3, 2, 2}, 0.01f, 0)},
       .attrs = {{"dilation_w", 2}, {"stride_h", 2}},
       .out_quant = quant_of_output(0.02f, 5),
       .note = "two groups"});
  all.push_back(
      {.inputs = {s8({1, 5, 11, 8}, 0.5f, -2), s8({40, 1, 1, 8}, 0.9f, 0),
                  s32({40}), f32({1, 5, 11, 3}), f32({40, 3})},
       .attrs = {{"act", FT_ACT_RELU_N1}},
       .out_quant = quant_of_output(0.01f, 3),
       .note = "factor above 1: shifts left"});
  Attrs gain_bias = same;
  gain_bias.set("gain_bias", int64_t{1});
  for (const Attrs& attrs : {same, gain_bias})
    all.push_back(
        {.inputs = {x8, w8, s32({8}), f32({1, 5, 6, 4}), f32({8, 4}), f32({8})},
         .attrs = attrs,
         .out_quant = quant,
         .note = "a gain"});
  all.push_back({.inputs = {x8, f32({4, 3, 3, 3}), f32({4})}, .attrs = same});
  all.push_back({.inputs = {s8({1, 4, 3, 8}, 0.02f, 11), f32({3, 1, 1, 8})}});
  return all;
}

bool has_one_group(const LowerContext&, const Lowered& lowered) {
  return lowered.params_as<ft_conv2d_params>().groups == 1;
}

bool can_pack(const LowerContext& context, const Lowered& lowered) {
  return has_one_group(context, lowered) && !context.constant(1).empty();
}

Status prepare_packed(const LowerContext& context, Lowered& lowered) {
  const auto p = lowered.params_as<ft_conv2d_params>();
  std::vector<float> packed(ft_conv2d_hwy_packed_bytes(&p) / sizeof(float));
  ft_conv2d_hwy_pack(&p,
                     reinterpret_cast<const float*>(context.constant(1).data()),
                     packed.data());
  lowered.add_aux<float>(packed);
  lowered.scratch_bytes = ft_conv2d_hwy_scratch_bytes(&p, false, true);
  return ok_status();
}

Status prepare_hwy(const LowerContext& context, Lowered& lowered) {
  const auto& p = lowered.params_as<ft_conv2d_params>();
  const bool x_is_s8 = context.view.in(0).dtype == DType::kS8;
  lowered.scratch_bytes = ft_conv2d_hwy_scratch_bytes(&p, x_is_s8, false);
  return ok_status();
}

int32_t window_bytes(const ft_conv2d_params& p) {
  return p.k_h * p.k_w * p.in_c;
}

DeviceWeights device_weights(const ft_conv2d_params& p) {
  return {p.out_c, window_bytes(p), p.x_zero_point, p.y_zero_point};
}

bool accepts_armdsp(const LowerContext& context, const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_conv2d_params>();
  return p.groups == 1 && can_pack_pairs(context, p.out_c, window_bytes(p));
}

// Windows of two pixels in halfwords, and one as bytes where it is not a run of
// whole words of the image.
Status prepare_armdsp(const LowerContext& context, Lowered& lowered) {
  const auto p = lowered.params_as<ft_conv2d_params>();
  const auto k = static_cast<size_t>(window_bytes(p)), wide = (k + 3) / 4 * 4;
  pack_pairs(context, device_weights(p), p.rank, lowered);
  lowered.scratch_bytes = wide * 4;
  if (ft_is_pointwise(&p) == 0 || k % 4 != 0) lowered.scratch_bytes += wide;
  return ok_status();
}

bool accepts_helium(const LowerContext& context, const Lowered& lowered) {
  return lowered.params_as<ft_conv2d_params>().groups == 1 &&
         can_pack_rows(context);
}

// Windows of four pixels where they are not whole vectors of the image.
Status prepare_helium(const LowerContext& context, Lowered& lowered) {
  const auto p = lowered.params_as<ft_conv2d_params>();
  const auto wide = (static_cast<size_t>(window_bytes(p)) + 15) / 16 * 16;
  pack_rows_of_16(context, device_weights(p), p.rank, lowered);
  if (ft_is_pointwise(&p) == 0 || p.in_c % 16 != 0)
    lowered.scratch_bytes = 4 * wide;
  return ok_status();
}

// What feeds a low-rank side: four channels at a time, nothing else added.
bool accepts_four(const LowerContext& context, const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_conv2d_params>();
  const NodeView& node = context.view;
  return p.groups == 1 && p.out_c % 4 == 0 && p.rank == 0 && !node.has(2) &&
         !node.has(5) && p.act == FT_ACT_NONE;
}

#if defined(__x86_64__)
bool available_vnni() { return ft_conv2d_s8_avx512vnni_available() != 0; }

bool accepts_vnni(const LowerContext& context, const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_conv2d_params>();
  return ft_conv2d_s8_avx512vnni_accepts(&p) && has_constant_weights(context);
}

void pack_vnni(const void* params, const int8_t* w, const int32_t* bias,
               const int32_t* multiplier, const int32_t* shift, void* packed,
               void* channels) {
  ft_conv2d_s8_avx512vnni_pack(static_cast<const ft_conv2d_params*>(params), w,
                               bias, multiplier, shift, packed, channels);
}

Status prepare_vnni(const LowerContext& context, Lowered& lowered) {
  const auto p = lowered.params_as<ft_conv2d_params>();
  add_packed_weights(context, ft_conv2d_s8_avx512vnni_packed_bytes(&p),
                     ft_conv2d_s8_avx512vnni_channels_bytes(&p), pack_vnni,
                     lowered);
  lowered.scratch_bytes = ft_conv2d_s8_avx512vnni_scratch_bytes(&p);
  return ok_status();
}
#endif

constexpr double kTolerance = 1e-5;
constexpr KernelDef kKernels[] = {
    {"ft_conv2d_s8_helium", Isa::kHelium, "s8,s8->s8", nullptr, accepts_helium,
     prepare_helium},
    {"ft_conv2d_s8_armdsp", Isa::kArmDsp, "s8,s8->s8", nullptr, accepts_armdsp,
     prepare_armdsp},
    {"ft_conv2d_s8f32_armdsp", Isa::kArmDsp, "s8,f32->f32", nullptr,
     accepts_four},
#if defined(__x86_64__)
    {"ft_conv2d_s8_avx512vnni", Isa::kAvx512Vnni, "s8,s8->s8",
     &ft_conv2d_s8_avx512vnni, accepts_vnni, prepare_vnni, 0, available_vnni},
#endif
    {"ft_conv2d_f32_hwy_packed", Isa::kHighway, "f32,f32->f32",
     &ft_conv2d_f32_hwy_packed, can_pack, prepare_packed, kTolerance},
    {"ft_conv2d_f32_hwy", Isa::kHighway, "f32,f32->f32", &ft_conv2d_f32_hwy,
     has_one_group, prepare_hwy, kTolerance},
    {"ft_conv2d_s8f32_hwy", Isa::kHighway, "s8,f32->f32", &ft_conv2d_s8f32_hwy,
     has_one_group, prepare_hwy, kTolerance},
    {"ft_conv2d_f32_c99", Isa::kC99, "f32,f32->f32", &ft_conv2d_f32_c99},
    {"ft_conv2d_f64_c99", Isa::kC99, "f64,f64->f64", &ft_conv2d_f64_c99},
    {"ft_conv2d_s8_c99", Isa::kC99, "s8,s8->s8", &ft_conv2d_s8_c99},
    {"ft_conv2d_s8f32_c99", Isa::kC99, "s8,f32->f32", &ft_conv2d_s8f32_c99},
};

// Rows of large products gather the whole image first or go by channels.
Overlap overlap(const KernelDef& row, const LowerContext& context,
                const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_conv_params>();
  switch (row.isa) {
    case Isa::kC99: return windows_overlap(context.view, p, 1);
    case Isa::kArmDsp:
      return row.signature == "s8,s8->s8" ? gathered_overlap(context.view, p, 2)
                                          : windows_overlap(context.view, p, 1);
    case Isa::kHelium: return windows_overlap(context.view, p, 4);
#if defined(__x86_64__)
    case Isa::kAvx512Vnni:
      return strips_overlap(context.view, p,
                            ft_conv2d_s8_avx512vnni_strip_rows(&p));
#endif
    default: return {};
  }
}

// Output pixels, as many as the row computes at a time.
Division divide_pixels(const KernelDef& row, const NodeView& /*node*/,
                       const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_conv_params>();
  const int grain = row.isa == Isa::kHelium        ? 4
                    : row.signature == "s8,s8->s8" ? 2
                                                   : 1;
  return in_units(ft_num_pixels(&p), grain);
}

}  // namespace

constinit const OpDef kConv2d = {.name = "conv2d",
                                 .cost_class = CostClass::kMatrix,
                                 .min_inputs = 2,
                                 .max_inputs = 6,
                                 .infer = infer,
                                 .gradient = gradient,
                                 .lower = lower,
                                 .kernels = kKernels,
                                 .signature_inputs = 2,
                                 .overlap = overlap,
                                 .divide = divide_pixels,
                                 .macs = macs,
                                 .examples = examples};

}  // namespace ft::ops
