// LoRA: W' = W + (lora_alpha / r) B A, on fully connected layers, convolutions,
// depthwise convolutions and recurrent weights; QA-LoRA (use_qalora), where
// groups of input channels share a column of A; DoRA (use_dora), where each
// output's weights get a learned length; and LoRA-FA, where A is frozen, so
// that no activation is kept for A's gradient, only h = A x.
//
// Sources: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models",
// 2021; Xu et al., "QA-LoRA: Quantization-Aware Low-Rank Adaptation of Large
// Language Models", 2023; Liu et al., "DoRA: Weight-Decomposed Low-Rank
// Adaptation", 2024, with the length of the adapted weights as a constant of
// the gradient (section 4.3); Zhang et al., "LoRA-FA: Memory-efficient Low-rank
// Adaptation for Large Language Models Fine-tuning", 2023. Initial values,
// tensor layout and factors as HF PEFT, which knows LoRA-FA as an optimizer of
// a LoRA adapter: its files hold both factors.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/real_values.h"
#include "methods/biases.h"
#include "methods/head.h"
#include "methods/low_rank.h"
#include "ops/all_ops.h"
#include "ops/append.h"
#include "ops/conv_common.h"

namespace ft {
namespace {

constinit const SettingDef kUseQalora = {
    .name = "use_qalora",
    .kind = SettingDef::Kind::kFlag,
    .summary = "QA-LoRA: qalora_group_size input channels share a column of A",
    .preset = "false"};
constinit const SettingDef kGroupSize = {
    .name = "qalora_group_size",
    .kind = SettingDef::Kind::kInt,
    .summary = "input channels in a group, with use_qalora",
    .preset = "16",
    .low = 1,
    .high = 65536};

constinit const SettingDef kUseDora = {
    .name = "use_dora",
    .kind = SettingDef::Kind::kFlag,
    .summary = "DoRA: each output's weights get a learned length",
    .preset = "false"};
constexpr char kMagnitude[] = "lora_magnitude_vector";

int group_of(const MethodSettings& settings) {
  if (!settings.flag(kUseQalora)) return 1;
  return static_cast<int>(settings.integer(kGroupSize));
}

Status check_group(const AdaptableModule& m, int r, int group) {
  const KernelExtent k = kernel_extent(m);
  if (m.kind == "depthwise_conv2d" || m.kind == kSharedWeight)
    return usage_error(fmt::format(
        "use_qalora is not defined on the {} '{}'; leave it out with "
        "--target-modules",
        m.kind, m.name));
  if (k.in % group != 0)
    return usage_error(fmt::format(
        "qalora_group_size {} does not divide the {} input channels of '{}'",
        group, k.in, m.name));
  if (r > k.size() / group)
    return usage_error(fmt::format(
        "rank {} is above the {} columns that groups of {} leave '{}'", r,
        k.size() / group, group, m.name));
  return ok_status();
}

// PEFT multiplies the means of the groups by their number.
double group_factor(const AdaptableModule& m, int group) {
  const KernelExtent k = kernel_extent(m);
  const int64_t groups = k.in / group;
  return static_cast<double>(groups) / group;
}

// A [r, ..., in / group] stretched to all input channels.
Result<ValueId> stretch(Graph& graph, const AdaptableModule& m, ValueId a,
                        int group) {
  const Shape shape = graph.value(a).type.shape;
  std::vector<int64_t> dims(shape.dims().begin(), shape.dims().end());
  const auto reshape = [&](ValueId x, const char* what) {
    return append(graph, ops::kReshape, {x}, {{"shape", dims}},
                  {.name = m.name + what});
  };
  dims.push_back(1);
  FT_TRY(ValueId value, reshape(a, "/lora_A/groups"));
  dims.back() = group;
  FT_TRY(value, append(graph, ops::kBroadcastTo, {value},
                       {{"shape", dims}, {"scale", group_factor(m, group)}},
                       {.name = m.name + "/lora_A/stretched"}));
  dims.pop_back();
  dims.back() *= group;
  return reshape(value, "/lora_A/all");
}

// |W| of each output, in the order and precision of op weight_norm, so that an
// int8 layer starts with a gain of exactly 1.
std::vector<float> lengths_of(const AdaptableModule& m,
                              const std::vector<float>& weight) {
  std::vector<float> lengths(static_cast<size_t>(m.rows), 0.0f);
  for (size_t i = 0; i < weight.size(); ++i) {
    const auto o =
        static_cast<size_t>(output_of_weight(m, static_cast<int64_t>(i)));
    lengths[o] += weight[i] * weight[i];
  }
  for (float& v : lengths) v = std::max(std::sqrt(v), 1.17549435e-38f);
  return lengths;
}

// The layer's outputs, without bias, times m / |W + scaling B A|.
Status add_magnitude(Graph& graph, const AdaptableModule& m, ValueId w,
                     const Factors& f, double scaling, AdaptedGraph& adapted) {
  const Shape in_file = is_matrix(m) ? Shape{m.rows} : Shape{1, m.rows, 1, 1};
  const ValueId magnitude =
      add_vector(graph, m, kMagnitude, {m.rows}, in_file,
                 lengths_of(m, real_values(graph.value(w))), adapted);
  FT_TRY(const ValueId norm,
         append(graph, ops::kWeightNorm, {w, f.a, f.b},
                {{"scaling", scaling}, {"stop_gradient", 1}},
                {.name = m.name + "/dora_norm"}));
  FT_TRY(ValueId gain, append(graph, ops::kBinary, {magnitude, norm},
                              {{"kind", "div"}}, {.name = m.name + "/dora"}));
  if (m.kind != kSharedWeight) return add_gain(graph, m.node, gain, false);
  FT_TRY(gain, append(graph, ops::kReshape, {gain},
                      {{"shape", std::vector<int64_t>{m.rows, 1}}},
                      {.name = m.name + "/dora_column"}));
  return scale_shared_weight(graph, m, gain);
}

// The length is that of the base's weights and this adapter's product.
Status check_dora(const Graph& graph, const AdaptableModule& m,
                  const MethodSettings& settings) {
  const Node& node = graph.node(m.node);
  const bool has_side = node.inputs.size() > 3 && node.inputs[3] != kNone;
  if (has_side || node.inputs[1] != weight_of_base(graph, m.node))
    return usage_error(fmt::format(
        "use_dora: '{}' has another adapter already, but DoRA goes alone with "
        "a layer",
        m.name));
  if (settings.weight == 1) return ok_status();
  return usage_error("use_dora takes no weight but 0 and 1");
}

Status adapt_all(Graph& graph, const MethodSettings& settings, bool freeze_a,
                 AdaptedGraph& adapted) {
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  const bool grouped = settings.flag(kUseQalora);
  const bool dora = settings.flag(kUseDora);
  if (grouped && dora)
    return usage_error("use_qalora and use_dora exclude each other");
  const int group = group_of(settings);
  FT_TRY_STATUS(
      rewrite_modules(graph, settings, [&](const AdaptableModule& m) -> Status {
        const int r = effective_rank(settings, m);
        FT_TRY_STATUS(check_low_rank_module(graph, m, r, settings.method));
        if (grouped) FT_TRY_STATUS(check_group(m, r, group));
        if (dora) FT_TRY_STATUS(check_dora(graph, m, settings));
        Factors f = add_factors(graph, m, r, group, settings.seed, adapted);
        for (AdapterTensor& t : adapted.tensors)
          if (freeze_a && t.param == f.a) t.trainable = false;
        if (grouped) {
          FT_TRY(f.a, stretch(graph, m, f.a, group));
        }
        const double scaling = lora_scaling(settings, m, r);
        const ValueId w = graph.node(m.node).inputs[1];
        FT_TRY_STATUS(adapt_low_rank(graph, m, f, scaling, !freeze_a));
        return dora ? add_magnitude(graph, m, w, f, scaling, adapted)
                    : ok_status();
      }));
  return train_biases_beside(graph, settings, adapted);
}

Status apply_lora(Graph& graph, const MethodSettings& settings,
                  AdaptedGraph& adapted) {
  return adapt_all(graph, settings, false, adapted);
}

Status apply_lora_fa(Graph& graph, const MethodSettings& settings,
                     AdaptedGraph& adapted) {
  return adapt_all(graph, settings, true, adapted);
}

// The file's A [r, in / group, kh, kw] for all input channels.
std::vector<float> stretched(const AdaptableModule& m, int group,
                             const std::vector<float>& a) {
  const KernelExtent k = kernel_extent(m);
  const auto image = static_cast<size_t>(k.h * k.w);
  const auto factor = static_cast<float>(group_factor(m, group));
  std::vector<float> all;
  for (size_t first = 0; first + image <= a.size(); first += image)
    for (int copy = 0; copy < group; ++copy)
      for (size_t i = 0; i < image; ++i) all.push_back(factor * a[first + i]);
  return all;
}

// Gives each output's weights the length that the adapter has for them.
Status set_lengths(const AdaptableModule& m, const TensorMap& tensors,
                   std::vector<float>& weight) {
  const auto at = tensors.find(peft_key(m.name, kMagnitude));
  if (at == tensors.end() || at->second.size() != static_cast<size_t>(m.rows))
    return invalid_input(
        fmt::format("the adapter has no {} of {} values for "
                    "'{}'",
                    kMagnitude, m.rows, m.name));
  const std::vector<float> lengths = lengths_of(m, weight);
  for (size_t i = 0; i < weight.size(); ++i) {
    const auto o =
        static_cast<size_t>(output_of_weight(m, static_cast<int64_t>(i)));
    weight[i] *= at->second[o] / lengths[o];
  }
  return ok_status();
}

Result<std::vector<MergedModule>> merge(const Graph& base,
                                        const MethodSettings& settings,
                                        const TensorMap& tensors) {
  std::vector<MergedModule> merged;
  for (const AdaptableModule& m : adaptable_modules(base)) {
    const auto a = tensors.find(peft_key(m.name, "lora_A.weight"));
    const auto b = tensors.find(peft_key(m.name, "lora_B.weight"));
    if (a == tensors.end() || b == tensors.end()) continue;
    const int r = effective_rank(settings, m);
    std::vector<float> weight = base_weight(base, m);
    FT_TRY_STATUS(add_product(m, lora_scaling(settings, m, r), r,
                              settings.flag(kUseQalora)
                                  ? stretched(m, group_of(settings), a->second)
                                  : a->second,
                              b->second, weight));
    if (settings.flag(kUseDora)) FT_TRY_STATUS(set_lengths(m, tensors, weight));
    merged.push_back({m.name, std::move(weight), {}});
  }
  FT_TRY_STATUS(merge_biases(base, tensors, merged));
  merge_head(base, tensors, merged);
  return merged;
}

constexpr const SettingDef* kLoraSettings[] = {
    &kUseRslora, &kUseDora, &kUseQalora, &kGroupSize, &kBias};
constexpr const SettingDef* kLoraFaSettings[] = {&kUseRslora, &kBias};

}  // namespace

extern const MethodDef kLora, kLoraFa;
constinit const MethodDef kLora = {
    .name = "lora",
    .summary = "low-rank update B A beside every chosen layer",
    .default_rank = 4,
    .settings = kLoraSettings,
    .apply = apply_lora,
    .merge = merge,
    .weighted = true};
constinit const MethodDef kLoraFa = {
    .name = "lora-fa",
    .summary = "LoRA with A frozen: keeps no activation for A's gradient",
    .default_rank = 4,
    .settings = kLoraFaSettings,
    .apply = apply_lora_fa,
    .merge = merge,
    .weighted = true};

}  // namespace ft
