// LoRA: W' = W + (lora_alpha / r) B A, on fully connected layers, convolutions,
// depthwise convolutions and recurrent weights; QA-LoRA (use_qalora), where
// groups of input channels share a column of A; and LoRA-FA, where A is frozen,
// so that no activation is kept for A's gradient, only h = A x.
//
// Sources: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models",
// 2021; Xu et al., "QA-LoRA: Quantization-Aware Low-Rank Adaptation of Large
// Language Models", 2023; Zhang et al., "LoRA-FA: Memory-efficient Low-rank
// Adaptation for Large Language Models Fine-tuning", 2023. Initial values,
// tensor layout and factors as HF PEFT, which knows LoRA-FA as an optimizer of
// a LoRA adapter: its files hold both factors.
#include <fmt/format.h>

#include "methods/head.h"
#include "methods/low_rank.h"
#include "ops/all_ops.h"
#include "ops/append.h"

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
  return static_cast<double>(k.in / group) / group;
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

Status adapt_all(Graph& graph, const MethodSettings& settings, bool freeze_a,
                 AdaptedGraph& adapted) {
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  const bool grouped = settings.flag(kUseQalora);
  const int group = group_of(settings);
  return rewrite_modules(
      graph, settings, [&](const AdaptableModule& m) -> Status {
        const int r = effective_rank(settings, m);
        FT_TRY_STATUS(check_low_rank_module(graph, m, r, settings.method));
        if (grouped) FT_TRY_STATUS(check_group(m, r, group));
        Factors f = add_factors(graph, m, r, group, settings.seed, adapted);
        for (AdapterTensor& t : adapted.tensors)
          if (freeze_a && t.param == f.a) t.trainable = false;
        if (grouped) {
          FT_TRY(f.a, stretch(graph, m, f.a, group));
        }
        return adapt_low_rank(graph, m, f, lora_scaling(settings, m, r),
                              !freeze_a);
      });
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
    merged.push_back({m.name, std::move(weight), {}});
  }
  merge_head(base, tensors, merged);
  return merged;
}

constexpr const SettingDef* kLoraSettings[] = {&kUseRslora, &kUseQalora,
                                               &kGroupSize};
constexpr const SettingDef* kLoraFaSettings[] = {&kUseRslora};

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
