// Convolutions, fully connected layers and matrix products.
#include <fmt/format.h>

#include <algorithm>

#include "formats/tflite/importer.h"
#include "formats/tflite/window.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

// x as LiteRT's kernels for float activations and int8 weights see it: one step
// (and zero point) for each of `rows` rows, so that its values just fit.
// Source: tensor_utils::SymmetricQuantizeFloats and AsymmetricQuantizeFloats of
// the TensorFlow Lite reference kernels.
Result<ValueId> through_int8(OpImport& op, ValueId x, int64_t rows,
                             bool asymmetric) {
  const int64_t row = op.shape(x).num_elements() / rows;
  const Attrs attrs{
      {"row", row},           {"block", row},
      {"groups", rows},       {"qmin", int64_t{asymmetric ? -128 : -127}},
      {"qmax", int64_t{127}}, {"symmetric", int64_t{!asymmetric}}};
  FT_TRY(auto inputs, op.inner_all(ops::kMinmaxQuantizer, {x}, attrs));
  inputs.insert(inputs.begin(), x);
  return op.inner(ops::kFakeQuantize, std::move(inputs), attrs);
}

// Convolutions whose weights share one step quantize symmetrically.
Result<ValueId> conv_input(OpImport& op, ValueId x, size_t w_index) {
  if (op.type(x).dtype != DType::kF32) return x;
  FT_TRY(const int64_t scales, op.dynamic_range_scales(w_index));
  if (scales == 0) return x;
  return through_int8(op, x, op.shape(x)[0], scales > 1);
}

// x, weights and bias of a layer. int8 weights behind a float input (dynamic
// range quantization) become float32; so does everything if asked for.
struct Layer {
  ValueId x, w, bias;
};
Result<Layer> read_layer(OpImport& op, size_t x_index, size_t w_index,
                         size_t bias_index) {
  Layer layer;
  FT_TRY(layer.x, op.input(x_index));
  const bool is_float = op.type(layer.x).dtype == DType::kF32;
  const As as = is_float ? As::kFloat : As::kStored;
  FT_TRY(layer.w, op.input(w_index, as));
  FT_TRY(layer.bias, op.optional_input(bias_index, as));
  return layer;
}

Status check_rank_4(const OpImport& op, const Layer& layer) {
  if (op.shape(layer.x).rank() == 4 && op.shape(layer.w).rank() == 4)
    return ok_status();
  return op.error(fmt::format("needs 4 dimensions, x is {} and w is {}",
                              op.shape(layer.x).to_string(),
                              op.shape(layer.w).to_string()));
}

template <class Options>
Status import_conv(OpImport& op, const OpDef& def) {
  FT_TRY_STATUS(op.expect(2, 3, 1));
  FT_TRY(const Options* options, op.options<Options>());
  FT_TRY(const Layer layer, read_layer(op, 0, 1, 2));
  FT_TRY_STATUS(check_rank_4(op, layer));
  const Shape &x = op.shape(layer.x), &w = op.shape(layer.w);
  const Window window{.padding = options->padding(),
                      .stride_h = options->stride_h(),
                      .stride_w = options->stride_w(),
                      .dilation_h = options->dilation_h_factor(),
                      .dilation_w = options->dilation_w_factor(),
                      .k_h = w[1],
                      .k_w = w[2]};
  FT_TRY_STATUS(check_window(op, window));
  FT_TRY(const int64_t act, act_of(op, options->fused_activation_function()));
  Attrs attrs{{"act", act}};
  set_window(attrs, window, x[1], x[2], true);
  FT_TRY(const ValueId input, conv_input(op, layer.x, 1));
  return op.emit(def, {input, layer.w, layer.bias}, std::move(attrs));
}

Status import_conv_2d(OpImport& op) {
  return import_conv<tfl::Conv2DOptions>(op, ops::kConv2d);
}

Status import_depthwise_conv_2d(OpImport& op) {
  return import_conv<tfl::DepthwiseConv2DOptions>(op, ops::kDepthwiseConv2d);
}

// Operands: output shape, weights, x, bias.
Status import_transpose_conv(OpImport& op) {
  FT_TRY_STATUS(op.expect(3, 4, 1));
  FT_TRY(const auto* options, op.options<tfl::TransposeConvOptions>());
  FT_TRY(const Layer layer, read_layer(op, 2, 1, 3));
  FT_TRY_STATUS(check_rank_4(op, layer));
  FT_TRY(const Shape out, op.output_shape());
  const Shape &x = op.shape(layer.x), &w = op.shape(layer.w);
  if (out.rank() != 4 || out[0] != x[0])
    return op.error(
        fmt::format("makes {} from {}", out.to_string(), x.to_string()));
  const Window window{.padding = options->padding(),
                      .stride_h = options->stride_h(),
                      .stride_w = options->stride_w(),
                      .dilation_h = 1,
                      .dilation_w = 1,
                      .k_h = w[1],
                      .k_w = w[2]};
  FT_TRY_STATUS(check_window(op, window));
  // The padding is that of the convolution which this one is the gradient of:
  // from the large image to the small one.
  Attrs large;
  set_window(large, window, out[1], out[2], false);
  FT_TRY(const int64_t act, act_of(op, options->fused_activation_function()));
  return op.emit(ops::kTransposeConv2d, {layer.x, layer.w, layer.bias},
                 {{"act", act},
                  {"stride_h", window.stride_h},
                  {"stride_w", window.stride_w},
                  {"pad_top", large.get_int("pad_top")},
                  {"pad_left", large.get_int("pad_left")},
                  {"out_h", out[1]},
                  {"out_w", out[2]}});
}

Status import_fully_connected(OpImport& op) {
  FT_TRY_STATUS(op.expect(2, 3, 1));
  FT_TRY(const auto* options, op.options<tfl::FullyConnectedOptions>());
  if (options->weights_format() !=
      tfl::FullyConnectedOptionsWeightsFormat::DEFAULT)
    return op.error("shuffled weights are not supported");
  FT_TRY(Layer layer, read_layer(op, 0, 1, 2));
  FT_TRY(const int64_t act, act_of(op, options->fused_activation_function()));
  FT_TRY(const int64_t scales, op.dynamic_range_scales(1));
  if (scales > 0 && op.type(layer.x).dtype == DType::kF32) {
    const int64_t columns = std::max<int64_t>(op.shape(layer.w).back(), 1);
    FT_TRY(layer.x,
           through_int8(op, layer.x, op.shape(layer.x).num_elements() / columns,
                        options->asymmetric_quantize_inputs()));
  }
  return op.emit(
      ops::kFullyConnected, {layer.x, layer.w, layer.bias},
      {{"act", act}, {"keep_num_dims", int64_t{options->keep_num_dims()}}});
}

Status import_batch_matmul(OpImport& op) {
  FT_TRY_STATUS(op.expect(2, 2, 1));
  const auto* options = op.options_or_null<tfl::BatchMatMulOptions>();
  FT_TRY(const ValueId a, op.input(0));
  const bool is_float = op.type(a).dtype == DType::kF32;
  FT_TRY(const ValueId b, op.input(1, is_float ? As::kFloat : As::kStored));
  const bool adj_x = options != nullptr && options->adj_x();
  const bool adj_y = options != nullptr && options->adj_y();
  return op.emit(ops::kMatmul, {a, b},
                 {{"trans_a", int64_t{adj_x}}, {"trans_b", int64_t{adj_y}}});
}

template <const OpDef& kPool>
Status import_pool(OpImport& op) {
  FT_TRY_STATUS(op.expect(1, 1, 1));
  FT_TRY(const auto* options, op.options<tfl::Pool2DOptions>());
  FT_TRY(const ValueId x, op.input(0));
  if (op.shape(x).rank() != 4)
    return op.error(
        fmt::format("needs 4 dimensions, x is {}", op.shape(x).to_string()));
  const Window window{.padding = options->padding(),
                      .stride_h = options->stride_h(),
                      .stride_w = options->stride_w(),
                      .dilation_h = 1,
                      .dilation_w = 1,
                      .k_h = options->filter_height(),
                      .k_w = options->filter_width()};
  FT_TRY_STATUS(check_window(op, window));
  FT_TRY(const int64_t act, act_of(op, options->fused_activation_function()));
  Attrs attrs{{"act", act}, {"filter_h", window.k_h}, {"filter_w", window.k_w}};
  set_window(attrs, window, op.shape(x)[1], op.shape(x)[2], false);
  return op.emit(kPool, {x}, std::move(attrs));
}

constexpr OperatorImporter kImporters[] = {
    {tfl::BuiltinOperator::AVERAGE_POOL_2D, import_pool<ops::kAvgPool2d>},
    {tfl::BuiltinOperator::CONV_2D, import_conv_2d},
    {tfl::BuiltinOperator::DEPTHWISE_CONV_2D, import_depthwise_conv_2d},
    {tfl::BuiltinOperator::FULLY_CONNECTED, import_fully_connected},
    {tfl::BuiltinOperator::MAX_POOL_2D, import_pool<ops::kMaxPool2d>},
    {tfl::BuiltinOperator::TRANSPOSE_CONV, import_transpose_conv},
    {tfl::BuiltinOperator::BATCH_MATMUL, import_batch_matmul},
};

}  // namespace

std::span<const OperatorImporter> linear_importers() { return kImporters; }

}  // namespace ft
