// (IA)^3: a layer's output, bias included, times a learned vector; of the
// layers that feedforward_modules names, the input. Nothing else is trained.
//
// Source: Liu et al., "Few-Shot Parameter-Efficient Fine-Tuning is Better and
// Cheaper than In-Context Learning", 2022. Names, shapes and initial values (1)
// as HF PEFT. A layer multiplies where it accumulates, in front of its fused
// activation, and an int8 layer rounds only what the factor changes, so a
// factor of 1 is the deployed layer, bit for bit. An int8 input is scaled in
// real numbers and quantized as before: what leaves its range saturates, as it
// will when deployed. Of a weight that several steps share, rows or columns are
// scaled, and no bias, which belongs to its readers.
#include <fmt/format.h>

#include <algorithm>

#include "ir/real_values.h"
#include "methods/head.h"
#include "methods/low_rank.h"
#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

constinit const SettingDef kFeedforward = {
    .name = "feedforward_modules",
    .kind = SettingDef::Kind::kList,
    .summary = "modules whose input is scaled, not the output",
    .preset = ""};

constexpr char kKey[] = "ia3_l";

bool is_feedforward(const MethodSettings& settings, const AdaptableModule& m) {
  return std::ranges::any_of(settings.list(kFeedforward),
                             [&](const std::string& pattern) {
                               return matches_module(pattern, m.name);
                             });
}

Status check_feedforward(const Graph& graph, const MethodSettings& settings) {
  FT_TRY(const auto modules, select_modules(graph, settings));
  std::string names;
  for (const AdaptableModule& m : modules)
    names += (names.empty() ? "" : ", ") + m.name;
  for (const std::string& pattern : settings.list(kFeedforward))
    if (std::ranges::none_of(modules, [&](const AdaptableModule& m) {
          return matches_module(pattern, m.name);
        }))
      return usage_error(
          fmt::format("feedforward_modules: '{}' matches nothing that method "
                      "ia3 adapts: {}",
                      pattern, names));
  return ok_status();
}

// Inputs that a factor each belongs to.
int64_t input_size(const Graph& graph, const AdaptableModule& m) {
  if (is_matrix(m)) return m.columns;
  return graph.value(graph.node(m.node).inputs[0]).type.shape.back();
}

// PEFT's [out, 1] or [1, in]; of convolutions [1, c, 1, 1].
Shape file_shape(const AdaptableModule& m, int64_t count, bool of_input) {
  if (!is_matrix(m)) return {1, count, 1, 1};
  return of_input ? Shape{1, count} : Shape{count, 1};
}

// The layer reads x times l in the place of x [..., in].
Status scale_input(Graph& graph, const AdaptableModule& m, ValueId factors) {
  const Node& layer = graph.node(m.node);
  if (layer.inputs.size() > 3 && layer.inputs[3] != kNone &&
      m.kind != "depthwise_conv2d")
    return usage_error(fmt::format(
        "an earlier adapter reads the input of '{}', which method ia3 cannot "
        "scale then",
        m.name));
  const ValueId x = layer.inputs[0];
  const TensorType type = graph.value(x).type;
  const auto reshaped = [&](ValueId v, const Shape& shape,
                            const char* what) -> Result<ValueId> {
    if (graph.value(v).type.shape == shape) return v;
    const auto dims = shape.dims();
    return append(graph, ops::kReshape, {v},
                  {{"shape", std::vector<int64_t>(dims.begin(), dims.end())}},
                  {.name = m.name + what});
  };
  ValueId value = x;
  if (type.dtype == DType::kS8) {
    FT_TRY(value, append(graph, ops::kDequantize, {value}, {},
                         {.name = m.name + "/ia3_real"}));
  }
  if (is_matrix(m)) {  // x may hold a row in several dimensions
    FT_TRY(value,
           reshaped(value, {type.shape.num_elements() / m.columns, m.columns},
                    "/ia3_rows"));
  }
  FT_TRY(value, append(graph, ops::kBinary, {value, factors}, {{"kind", "mul"}},
                       {.name = m.name + "/ia3_input"}));
  FT_TRY(value, reshaped(value, type.shape, "/ia3_as_before"));
  if (type.dtype == DType::kS8) {
    FT_TRY(value, append(graph, ops::kQuantize, {value}, {},
                         {.name = m.name + "/ia3_quantized",
                          .out_quant = {type.quant}}));
  }
  set_input(graph, m.node, 0, value);
  graph.node(m.node).attrs.set(kScaledInput, int64_t{1});
  return ok_status();
}

Status adapt(Graph& graph, const AdaptableModule& m, bool of_input,
             AdaptedGraph& adapted) {
  const int64_t count = of_input ? input_size(graph, m) : m.rows;
  const Shape in_file = file_shape(m, count, of_input);
  const bool shared = m.kind == kSharedWeight;
  const ValueId factors =
      add_vector(graph, m, kKey, shared ? in_file : Shape{count}, in_file,
                 std::vector<float>(static_cast<size_t>(count), 1), adapted);
  if (shared) {
    FT_TRY_STATUS(check_shared_is_float(graph, m, "ia3"));
    return scale_shared_weight(graph, m, factors);
  }
  return of_input ? scale_input(graph, m, factors)
                  : add_gain(graph, m.node, factors, true);
}

Status apply(Graph& graph, const MethodSettings& settings,
             AdaptedGraph& adapted) {
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  FT_TRY_STATUS(check_feedforward(graph, settings));
  return rewrite_modules(graph, settings, [&](const AdaptableModule& m) {
    return adapt(graph, m, is_feedforward(settings, m), adapted);
  });
}

// The channel of the input that weight `i` of the module reads.
size_t input_of(const AdaptableModule& m, int64_t in_size, int64_t i) {
  if (is_matrix(m)) return static_cast<size_t>(i % m.columns);
  const int64_t out = output_of_weight(m, i);
  if (m.kind == "depthwise_conv2d")
    return static_cast<size_t>(out / (m.rows / in_size));
  const int64_t run = m.weight[3], groups = in_size / run;
  return static_cast<size_t>(out / (m.rows / groups) * run + i % run);
}

Result<std::vector<MergedModule>> merge(const Graph& base,
                                        const MethodSettings& settings,
                                        const TensorMap& tensors) {
  std::vector<MergedModule> merged;
  for (const AdaptableModule& m : adaptable_modules(base)) {
    const auto at = tensors.find(peft_key(m.name, kKey));
    if (at == tensors.end()) continue;
    const std::vector<float>& factors = at->second;
    const bool of_input = is_feedforward(settings, m);
    const int64_t count = of_input ? input_size(base, m) : m.rows;
    if (factors.size() != static_cast<size_t>(count))
      return invalid_input(
          fmt::format("adapter tensor '{}' has {} values, the layer needs {}",
                      at->first, factors.size(), count));
    MergedModule module{m.name, base_weight(base, m), {}};
    for (size_t i = 0; i < module.weight.size(); ++i) {
      const auto index = static_cast<int64_t>(i);
      module.weight[i] *=
          factors[of_input ? input_of(m, count, index)
                           : static_cast<size_t>(output_of_weight(m, index))];
    }
    const Node& node = base.node(m.node);
    if (!of_input && m.kind != kSharedWeight && node.inputs.size() > 2 &&
        node.inputs[2] != kNone) {
      module.bias = real_values(base.value(node.inputs[2]));
      for (size_t o = 0; o < module.bias.size(); ++o)
        module.bias[o] *= factors[o];
    }
    merged.push_back(std::move(module));
  }
  merge_head(base, tensors, merged);
  return merged;
}

constexpr const SettingDef* kSettings[] = {&kFeedforward};

}  // namespace

extern const MethodDef kIa3;
constinit const MethodDef kIa3 = {
    .name = "ia3",
    .summary = "one factor for each output, or input, of every chosen layer",
    .settings = kSettings,
    .apply = apply,
    .merge = merge};

}  // namespace ft
