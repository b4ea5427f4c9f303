#include "passes/int8_sides.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "ir/real_values.h"
#include "ops/all_ops.h"
#include "ops/conv_common.h"
#include "ops/side_ops.h"
#include "passes/side_values.h"

namespace ft {
namespace {

// What one step of the output may be at least, in units of the accumulator:
// beside layers, and in depthwise layers, whose weights have fractions.
constexpr int kStepsOfSide = 12, kStepsOfWide = 10;

bool has_input(const Node& node, size_t i) {
  return i < node.inputs.size() && node.inputs[i] != kNone;
}

Status not_lora(const Node& node, const char* what) {
  return invalid_input(fmt::format(
      "--adapter-mode int8 computes LoRA beside a layer, but '{}' has {}; use "
      "--adapter-mode side",
      node.name, what));
}

class Rewriter {
 public:
  explicit Rewriter(Graph& graph) : graph_(graph) {}

  Status run() {
    for (NodeId n = 0; n < graph_.num_nodes(); ++n) {
      const Node& node = graph_.node(n);
      const bool dense =
          node.op == &ops::kConv2d || node.op == &ops::kFullyConnected;
      const bool depthwise = node.op == &ops::kDepthwiseConv2d;
      if ((!dense && !depthwise) ||
          graph_.value(node.outputs[0]).type.dtype != DType::kS8)
        continue;
      if (has_input(node, 5)) return not_lora(node, "a gain");
      if (depthwise && has_input(node, 4))
        return not_lora(node, "a difference of its bias");
      if (!has_input(node, 3)) continue;
      FT_TRY_STATUS(dense ? add_side(n) : widen(n));
      ++rewritten_;
    }
    if (rewritten_ > 0) return ok_status();
    return invalid_input(
        "--adapter-mode int8: the adapter stands beside no int8 layer; use "
        "--adapter-mode side");
  }

 private:
  const TensorType& type(ValueId v) const { return graph_.value(v).type; }

  // Float values that are known when compiling. Integers take their place: as
  // parameters they would still lie in the adapter's memory.
  Result<std::vector<float>> floats(const Node& node, ValueId v) {
    Value& value = graph_.value(v);
    if (value.type.dtype != DType::kF32 ||
        value.data.size() != value.type.num_bytes())
      return not_lora(node, "a side that is computed");
    value.kind = ValueKind::kConstant;
    return real_values(value);
  }

  const Node* producer(ValueId v) const {
    const NodeId n = graph_.value(v).producer;
    return n == kNone ? nullptr : &graph_.node(n);
  }

  SideLayer layer_of(const Node& node, int64_t out_c) const {
    const QuantParams& x = type(node.inputs[0]).quant;
    return {.name = node.name,
            .x_scale = x.scale[0],
            .x_zero_point = x.zero_point[0],
            .weight_scale = ops::channel_scales(type(node.inputs[1]), out_c)};
  }

  // The power of two by which each channel's unit becomes coarser.
  std::vector<int> coarsen(const Node& node, int steps,
                           SideLayer& layer) const {
    const float y_scale = type(node.outputs[0]).quant.scale[0];
    std::vector<int> by;
    for (float& scale : layer.weight_scale) {
      by.push_back(coarser_by(static_cast<double>(layer.x_scale) *
                                  static_cast<double>(scale) /
                                  static_cast<double>(y_scale),
                              steps));
      scale = std::ldexp(scale, by.back());
    }
    return by;
  }

  std::vector<int32_t> bias_of(const Node& node, size_t out_c) const {
    if (!has_input(node, 2)) return std::vector<int32_t>(out_c, 0);
    const auto bias = data_of<int32_t>(graph_.value(node.inputs[2]));
    return {bias.begin(), bias.end()};
  }

  // Weights and bias of channels with almost no weights in coarser units.
  void make_coarser(Node& node, const std::vector<int>& by,
                    const SideLayer& layer) {
    if (std::ranges::all_of(by, [](int e) { return e == 0; })) return;
    const Value w = graph_.value(node.inputs[1]);
    const auto old = data_of<int8_t>(w);
    const auto rounded = [&](double v, size_t c) {
      return std::round(std::ldexp(v, -by[c]));
    };
    std::vector<int8_t> weights(old.begin(), old.end());
    const size_t k = old.size() / by.size();
    for (size_t i = 0; i < old.size(); ++i)
      weights[i] = static_cast<int8_t>(rounded(old[i], i / k));
    TensorType changed = w.type;
    changed.quant = {layer.weight_scale, std::vector<int32_t>(by.size(), 0), 0};
    node.inputs[1] = graph_.add_owned(ValueKind::kConstant, w.name + "/coarser",
                                      changed, weights);
    if (!has_input(node, 2)) return;
    const Value bias = graph_.value(node.inputs[2]);
    std::vector<int32_t> start = bias_of(node, by.size());
    for (size_t c = 0; c < start.size(); ++c)
      start[c] = static_cast<int32_t>(rounded(start[c], c));
    changed = bias.type;
    changed.quant = {};
    node.inputs[2] = graph_.add_owned(ValueKind::kConstant,
                                      bias.name + "/coarser", changed, start);
  }

  template <class T>
  ValueId param(const Node& node, const char* what, DType dtype, Shape shape,
                QuantParams quant, const std::vector<T>& values) {
    return graph_.add_owned(
        ValueKind::kParam, fmt::format("{}/{}", node.name, what),
        {.dtype = dtype, .shape = shape, .quant = std::move(quant)}, values);
  }

  // h = A x, from the layer's own input and geometry.
  Result<ValueId> factor_a(const Node& node) const {
    const Node* h = producer(node.inputs[3]);
    const bool plain = h != nullptr && h->op == node.op &&
                       h->inputs[0] == node.inputs[0] && !has_input(*h, 2) &&
                       !has_input(*h, 3);
    if (!plain) return not_lora(node, "a side that is no A x");
    return h->inputs[1];
  }

  Status add_side(NodeId n) {
    Node node = graph_.node(n);
    const Shape w = type(node.inputs[1]).shape;
    const int64_t out_c = w[0], window = w.num_elements() / out_c;
    FT_TRY(const ValueId a, factor_a(node));
    SideFactors f{.rank = type(a).shape[0],
                  .window = window,
                  .out_c = out_c,
                  .a = {},
                  .b = {},
                  .scaling = node.attrs.get_real("lora_scaling", 1)};
    FT_TRY(f.a, floats(node, a));
    FT_TRY(f.b, floats(node, node.inputs[4]));
    SideLayer layer = layer_of(node, out_c);
    const std::vector<int> by = coarsen(node, kStepsOfSide, layer);
    FT_TRY(const SideValues side, side_values(layer, f));
    make_coarser(node, by, layer);
    node.inputs.resize(3);
    node.inputs.push_back(param(node, "side_a", DType::kS8,
                                {side.rank, side.row},
                                QuantParams::per_tensor(1, 0), side.a));
    node.inputs.push_back(param(node, "side_a_factor", DType::kS32, {side.rank},
                                {}, side.a_factor));
    node.inputs.push_back(
        param(node, "side_b", DType::kS16, {out_c, side.rank}, {}, side.b));
    node.op = &ops::kSideConv2d;
    node.attrs = without_scaling(node.attrs);
    graph_.node(n) = std::move(node);
    return ok_status();
  }

  // The float difference of depthwise weights: alpha * (A^T B^T) or
  // alpha * (B A)^T, reshaped.
  Result<std::vector<float>> difference(const Node& node) {
    const Node* made = producer(node.inputs[3]);
    if (made != nullptr && made->op == &ops::kReshape)
      made = producer(made->inputs[0]);
    if (made == nullptr || made->op != &ops::kMatmul ||
        made->attrs.get_int("trans_a") != 1 ||
        made->attrs.get_int("trans_b") != 1)
      return not_lora(node, "a difference of its weights that is no B A");
    const Shape as = type(made->inputs[0]).shape;  // [rank, taps]
    const Shape bs = type(made->inputs[1]).shape;  // [channels, rank]
    FT_TRY(const std::vector<float> a, floats(node, made->inputs[0]));
    FT_TRY(const std::vector<float> b, floats(node, made->inputs[1]));
    const auto alpha = static_cast<float>(made->attrs.get_real("alpha", 1));
    std::vector<float> out;
    for (int64_t tap = 0; tap < as[1]; ++tap)
      for (int64_t c = 0; c < bs[0]; ++c) {
        float sum = 0;
        for (int64_t i = 0; i < as[0]; ++i)
          sum += a[static_cast<size_t>(i * as[1] + tap)] *
                 b[static_cast<size_t>(c * bs[1] + i)];
        out.push_back(alpha * sum);
      }
    return out;
  }

  Status widen(NodeId n) {
    Node node = graph_.node(n);
    const Shape shape = type(node.inputs[1]).shape;  // [1, kh, kw, channels]
    const auto channels = static_cast<size_t>(shape[3]);
    FT_TRY(const std::vector<float> delta, difference(node));
    SideLayer layer = layer_of(node, shape[3]);
    const std::vector<float> scale = layer.weight_scale;
    const std::vector<int> by = coarsen(node, kStepsOfWide, layer);
    const auto base = data_of<int8_t>(graph_.value(node.inputs[1]));
    std::vector<double> w, bias;
    for (size_t i = 0; i < base.size(); ++i)
      w.push_back(
          std::ldexp(base[i] + static_cast<double>(delta[i]) /
                                   static_cast<double>(scale[i % channels]),
                     -by[i % channels]));
    for (const int32_t v : bias_of(node, channels))
      bias.push_back(std::ldexp(v, -by[bias.size()]));
    FT_TRY(const WideValues wide, wide_values(layer, w, bias));
    const int64_t rows = (shape[3] + 3) / 4 * 4;
    QuantParams units{layer.weight_scale, {}, 0};
    units.scale.resize(static_cast<size_t>(rows), 1.0f);
    units.zero_point.assign(static_cast<size_t>(rows), 0);
    node.inputs = {
        node.inputs[0],
        param(node, "wide_w", DType::kS16, {rows, shape[1] * shape[2]}, units,
              wide.w),
        param(node, "wide_start", DType::kS32, {shape[3]}, {}, wide.start)};
    node.op = &ops::kWideDepthwiseConv2d;
    node.attrs = without_scaling(node.attrs);
    node.attrs.set("k_h", shape[1]);
    node.attrs.set("k_w", shape[2]);
    graph_.node(n) = std::move(node);
    return ok_status();
  }

  static Attrs without_scaling(const Attrs& attrs) {
    Attrs kept;
    for (const auto& [name, value] : attrs.all())
      if (name != "lora_scaling") kept.set(name, value);
    return kept;
  }

  Graph& graph_;
  int rewritten_ = 0;
};

}  // namespace

Status int8_sides(Graph& graph) { return Rewriter(graph).run(); }

}  // namespace ft
