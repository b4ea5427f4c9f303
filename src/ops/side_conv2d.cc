// An int8 convolution or fully connected layer with an adapter's side in
// integers. The loops live in kernels/side_conv2d/.
//
// side_conv2d: x, w, bias, a, a_factor, b. With rank-2 w it is a fully
// connected layer, whose result LiteRT rounds once. Attributes as conv2d's and
// fully_connected's.
#include "kernels/side_conv2d/side_conv2d.h"

#include "kernels/conv2d/im2col_s8.h"
#include "kernels/quant/s8_pairs.h"
#include "kernels/side_conv2d/helium_scratch.h"
#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/device_rows.h"
#include "ops/linear_examples.h"
#include "ops/side_ops.h"

namespace ft::ops {
namespace {

bool is_dense(const NodeView& node) { return node.shape(1).rank() == 2; }

// The same node without its side: what is deployed.
NodeView base_of(const NodeView& node) {
  NodeView base = node;
  base.inputs.resize(std::min<size_t>(base.inputs.size(), 3));
  return base;
}

Status check_part(const NodeView& node, size_t i, const char* name, DType dtype,
                  const Shape& shape) {
  if (node.in(i).dtype == dtype && node.shape(i) == shape) return ok_status();
  return node.error(fmt::format("{} is {}, needs {}{}", name,
                                node.in(i).to_string(), name_of(dtype),
                                shape.to_string()));
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  if (node.in(0).dtype != DType::kS8 || node.in(1).dtype != DType::kS8)
    return node.error("x and w must be int8");
  for (size_t i = 3; i < 6; ++i)
    if (!node.has(i)) return node.error(fmt::format("input {} is missing", i));
  FT_TRY(auto types,
         (is_dense(node) ? kFullyConnected : kConv2d).infer(base_of(node)));
  const Shape& w = node.shape(1);
  const int64_t k = w.num_elements() / w[0];
  if (!is_dense(node) && node.shape(0)[3] != w[3])
    return node.error("a side of groups of channels is not defined");
  const int64_t r = node.shape(3).rank() == 2 ? node.shape(3)[0] : 0;
  if (r < 2 || r % 2 != 0)
    return node.error(fmt::format("a is {}, needs an even number of rows",
                                  node.in(3).to_string()));
  FT_TRY_STATUS(check_part(node, 3, "a", DType::kS8, {r, (k + 15) / 16 * 16}));
  FT_TRY_STATUS(check_part(node, 4, "a_factor", DType::kS32, {r}));
  FT_TRY_STATUS(check_part(node, 5, "b", DType::kS16, {w[0], r}));
  return types;
}

ConvSizes sizes_of(const NodeView& node) {
  const Shape &x = node.shape(0), &w = node.shape(1), &y = node.out(0).shape;
  if (is_dense(node))
    return {x.num_elements() / w[1], 1, 1, w[1], 1, 1, w[0], 1, 1, 1};
  return {x[0], x[1], x[2], x[3], y[1], y[2], y[3], w[1], w[2], 1};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const ConvSizes sizes = sizes_of(node);
  ft_side_conv2d_params p{.conv = conv_params(node, sizes),
                          .round_once = is_dense(node)};
  set_quant_params(node, p.conv);
  p.conv.rank = static_cast<int32_t>(node.shape(3)[0]);
  lowered.set_params(p);
  lowered.scratch_bytes = static_cast<size_t>(p.conv.rank) * sizeof(int16_t);
  FT_TRY_STATUS(add_requantization(node, sizes.out_c, false, lowered));
  lowered.aux.pop_back();  // the float scale of a float side
  return ok_status();
}

int64_t macs(const NodeView& node) {
  const Shape &w = node.shape(1), &y = node.out(0).shape;
  const int64_t k = w.num_elements() / std::max<int64_t>(w[0], 1);
  const int64_t pixels = y.num_elements() / std::max<int64_t>(w[0], 1);
  const int64_t r = node.shape(3)[0];
  return pixels * (w[0] * (k + r) + r * k);
}

OpExample example(const TensorType& x, const TensorType& w, int64_t r,
                  const Attrs& attrs, float y_scale) {
  const int64_t k = w.shape.num_elements() / w.shape[0];
  return {
      .inputs = {x,
                 w,
                 s32({w.shape[0]}),
                 s8({r, (k + 15) / 16 * 16}, 0.01f, 0),
                 s32({r}),
                 {.dtype = DType::kS16, .shape = {w.shape[0], r}, .quant = {}}},
      .attrs = attrs,
      .out_quant = quant_of_output(y_scale, -20)};
}

std::vector<OpExample> examples() {
  const Attrs same{{"pad_top", 1},
                   {"pad_left", 1},
                   {"pad_bottom", 1},
                   {"pad_right", 1},
                   {"act", FT_ACT_RELU6}};
  const TensorType x8 = s8({1, 5, 6, 3}, 0.03f, -7);
  std::vector<OpExample> all = {
      example(x8, s8_per_channel({8, 3, 3, 3}, 0), 4, same, 0.04f),
      example(s8({1, 3, 5, 16}, 0.05f, 3), s8_per_channel({12, 1, 1, 16}, 0), 4,
              {}, 0.9f),
      example(s8({2, 3, 3, 64}, 0.05f, 3), s8_per_channel({16, 1, 1, 64}, 0), 6,
              {{"act", FT_ACT_RELU}}, 0.9f),
      example(s8({1, 7, 6, 8}, 0.5f, 127), s8({7, 2, 3, 8}, 0.3f, 0), 2,
              {{"stride_h", 2}, {"dilation_w", 2}}, 40.0f),
      example(s8({1, 3, 3, 8}, 0.5f, -2), s8({4, 1, 1, 8}, 0.9f, 0), 4, {},
              0.1f),
      example(s8({3, 20}, 0.04f, -11), s8({9, 20}, 0.01f, 0), 4, {}, 0.2f),
      example(s8({1, 64}, 0.04f, -11), s8_per_channel({12, 64}, 0), 4,
              {{"act", FT_ACT_RELU}}, 0.5f),
      example(s8({1, 7, 9, 20}, 0.03f, -7), s8_per_channel({70, 3, 3, 20}, 0),
              16, same, 0.4f),
      example(s8({1, 7, 8, 9}, 0.05f, 3), s8_per_channel({35, 1, 2, 9}, 0), 18,
              {{"stride_w", 2}, {"act", FT_ACT_RELU6}}, 0.9f),
      example(s8({1, 90}, 0.04f, -11), s8_per_channel({100, 90}, 0), 10, {},
              0.5f)};
  all[4].note = "factor above 1: shifts left";
  all.push_back(all[0]);
  all.back().absent = {2};
  return all;
}

int32_t window_bytes(const ft_conv_params& p) { return p.k_h * p.k_w * p.in_c; }

// What B h adds lies within 2^23 by its type.
DeviceWeights device_weights(const ft_side_conv2d_params& side) {
  const ft_conv_params& p = side.conv;
  return {.n = p.out_c,
          .k = window_bytes(p),
          .x_zero_point = p.x_zero_point,
          .y_zero_point = p.y_zero_point,
          .rounds_twice = side.round_once == 0,
          .added = 1 << 23};
}

bool accepts_armdsp(const LowerContext& context, const Lowered& lowered) {
  const ft_conv_params p = lowered.params_as<ft_side_conv2d_params>().conv;
  return has_constant_weights(context) &&
         ft_can_pack_pairs(
             reinterpret_cast<const int8_t*>(context.constant(1).data()),
             p.out_c, window_bytes(p)) != 0;
}

// Windows of two pixels in halfwords, what rows of A begin with, h of two
// pixels, and a window as bytes where it is not a run of whole words.
Status prepare_armdsp(const LowerContext& context, Lowered& lowered) {
  const auto side = lowered.params_as<ft_side_conv2d_params>();
  const auto k = static_cast<size_t>(window_bytes(side.conv));
  const size_t wide = (k + 3) / 4 * 4;
  pack_pairs(context, device_weights(side), 0, lowered);
  lowered.scratch_bytes =
      wide * 4 + static_cast<size_t>(side.conv.rank) * 2 * sizeof(int32_t);
  if (ft_is_pointwise(&side.conv) == 0 || k % 4 != 0)
    lowered.scratch_bytes += wide;
  return ok_status();
}

bool accepts_helium(const LowerContext& context, const Lowered&) {
  return has_constant_weights(context);
}

Status prepare_helium(const LowerContext& context, Lowered& lowered) {
  const auto side = lowered.params_as<ft_side_conv2d_params>();
  pack_rows_of_16(context, device_weights(side), 0, lowered);
  lowered.scratch_bytes =
      static_cast<size_t>(ft_side_helium_scratch(&side.conv));
  return ok_status();
}

#if defined(__x86_64__)
bool available_vnni() { return ft_side_conv2d_s8_avx512vnni_available() != 0; }

bool accepts_vnni(const LowerContext& context, const Lowered& lowered) {
  return has_constant_weights(context) &&
         ft_side_conv2d_s8_avx512vnni_accepts(
             &lowered.params_as<ft_side_conv2d_params>()) != 0;
}

void pack_vnni(const void* params, const int8_t* w, const int32_t* bias,
               const int32_t* multiplier, const int32_t* shift, void* packed,
               void* channels) {
  ft_side_conv2d_s8_avx512vnni_pack(
      static_cast<const ft_side_conv2d_params*>(params), w, bias, multiplier,
      shift, packed, channels);
}

Status prepare_vnni(const LowerContext& context, Lowered& lowered) {
  const auto p = lowered.params_as<ft_side_conv2d_params>();
  add_packed_weights(context, ft_side_conv2d_s8_avx512vnni_packed_bytes(&p),
                     ft_side_conv2d_s8_avx512vnni_channels_bytes(&p), pack_vnni,
                     lowered);
  lowered.scratch_bytes = ft_side_conv2d_s8_avx512vnni_scratch_bytes(&p);
  return ok_status();
}
#endif

constexpr KernelDef kKernels[] = {
    {"ft_side_conv2d_s8_helium", Isa::kHelium, "s8,s8->s8", nullptr,
     accepts_helium, prepare_helium},
    {"ft_side_conv2d_s8_armdsp", Isa::kArmDsp, "s8,s8->s8", nullptr,
     accepts_armdsp, prepare_armdsp},
#if defined(__x86_64__)
    {"ft_side_conv2d_s8_avx512vnni", Isa::kAvx512Vnni, "s8,s8->s8",
     &ft_side_conv2d_s8_avx512vnni, accepts_vnni, prepare_vnni, 0,
     available_vnni},
#endif
    {"ft_side_conv2d_s8_c99", Isa::kC99, "s8,s8->s8", &ft_side_conv2d_s8_c99},
};

}  // namespace

constinit const OpDef kSideConv2d = {.name = "side_conv2d",
                                     .cost_class = CostClass::kMatrix,
                                     .min_inputs = 2,
                                     .max_inputs = 6,
                                     .infer = infer,
                                     .lower = lower,
                                     .kernels = kKernels,
                                     .signature_inputs = 2,
                                     .macs = macs,
                                     .examples = examples};

}  // namespace ft::ops
