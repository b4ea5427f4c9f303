// AdaLoRA: W' = W + scaling B diag(E) A, where training gives the singular
// values E a budget that shrinks from r to target_r a layer: the least
// important of all layers become 0. B and A are held near orthogonal rows by a
// penalty.
//
// Source: Zhang et al., "AdaLoRA: Adaptive Budget Allocation for
// Parameter-Efficient Fine-Tuning", 2023; names, shapes, schedule and initial
// values as HF PEFT, whose init_r is the rank here. The importance of a value
// is that at the step of its gradient, as the paper has it (PEFT's training
// loop updates the value first). scaling = lora_alpha / (r + 1e-5), whatever
// rank is left. The schedule counts updates; its end is total_step.
#include <fmt/format.h>

#include <algorithm>

#include "base/random.h"
#include "methods/biases.h"
#include "methods/head.h"
#include "methods/low_rank.h"
#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

using Kind = SettingDef::Kind;
constexpr double kMostSteps = 1 << 24;
constinit const SettingDef kTargetR = {.name = "target_r",
                                       .kind = Kind::kInt,
                                       .summary = "mean rank at the end",
                                       .preset = "8",
                                       .low = 1,
                                       .high = 65536};
constinit const SettingDef kTinit = {
    .name = "tinit",
    .kind = Kind::kInt,
    .summary = "updates before the first value goes",
    .preset = "0",
    .low = 0,
    .high = kMostSteps};
constinit const SettingDef kTfinal = {
    .name = "tfinal",
    .kind = Kind::kInt,
    .summary = "updates after the last value went",
    .preset = "0",
    .low = 0,
    .high = kMostSteps};
constinit const SettingDef kDeltaT = {
    .name = "deltaT",
    .kind = Kind::kInt,
    .summary = "updates from one allocation to the next",
    .preset = "1",
    .low = 1,
    .high = kMostSteps};
constinit const SettingDef kBeta1 = {.name = "beta1",
                                     .kind = Kind::kReal,
                                     .summary = "smoothing of the sensitivity",
                                     .preset = "0.85",
                                     .low = 0,
                                     .high = 0.999999};
constinit const SettingDef kBeta2 = {.name = "beta2",
                                     .kind = Kind::kReal,
                                     .summary = "smoothing of its uncertainty",
                                     .preset = "0.85",
                                     .low = 0,
                                     .high = 0.999999};
constinit const SettingDef kOrthogonal = {
    .name = "orth_reg_weight",
    .kind = Kind::kReal,
    .summary = "weight of the penalty on rows that are not orthogonal",
    .preset = "0.5",
    .low = 0,
    .high = 1e6};
constinit const SettingDef kTotalStep = {
    .name = "total_step",
    .kind = Kind::kInt,
    .summary =
        "updates that the schedule is spread over; 0: those of this "
        "training",
    .preset = "0",
    .low = 0,
    .high = kMostSteps};

// Where no training has filled it in, a schedule of the same size in memory.
int64_t total_of(const MethodSettings& s) {
  const int64_t total = s.integer(kTotalStep);
  return total > 0 ? total : s.integer(kTinit) + s.integer(kTfinal) + 1;
}

int64_t last_allocation(const MethodSettings& s) {
  return total_of(s) - s.integer(kTfinal);
}

Status check_settings(const MethodSettings& s) {
  if (!s.alpha_pattern.empty())
    return usage_error(
        "method adalora has one alpha for all layers: leave out "
        "--alpha-pattern");
  if (s.integer(kTargetR) > s.r)
    return usage_error(fmt::format(
        "method adalora: target_r {} is above {}, the rank at the start",
        s.integer(kTargetR), s.r));
  const int64_t total = total_of(s), tinit = s.integer(kTinit),
                tfinal = s.integer(kTfinal);
  if (tinit < total - tfinal) return ok_status();
  return usage_error(fmt::format(
      "method adalora: tinit {} and tfinal {} leave none of the {} updates for "
      "the allocation of ranks",
      tinit, tfinal, total));
}

std::vector<float> normal_values(int64_t count, uint64_t seed,
                                 const std::string& stream) {
  const Random random(seed, stream);
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = 0.02f * random.normal(i);
  return values;
}

struct Triplet {
  Factors f;
  ValueId e = kNone;
};

Triplet add_triplet(Graph& graph, const AdaptableModule& m, int r,
                    uint64_t seed, AdaptedGraph& adapted) {
  const KernelExtent k = kernel_extent(m);
  AdapterTensor a{.name = peft_key(m.name, "lora_A"),
                  .view = {r, k.h, k.w, k.in},
                  .perm = {0, 3, 1, 2},
                  .flat = {r, k.size()}};
  AdapterTensor b{
      .name = peft_key(m.name, "lora_B"), .view = {m.rows, r}, .perm = {0, 1}};
  const Shape a_shape = m.kind == "conv2d" ? a.view : Shape{r, k.size()};
  a.param =
      graph.add_owned(ValueKind::kParam, m.name + "/lora_A", real_type(a_shape),
                      normal_values(r * k.size(), seed, a.name));
  b.param =
      graph.add_owned(ValueKind::kParam, m.name + "/lora_B", real_type(b.view),
                      normal_values(m.rows * r, seed, b.name));
  Triplet t{.f = {a.param, b.param}};
  adapted.tensors.push_back(std::move(a));
  adapted.tensors.push_back(std::move(b));
  t.e = add_vector(graph, m, "lora_E", {r}, {r, 1},
                   std::vector<float>(static_cast<size_t>(r), 0.0f), adapted);
  return t;
}

// |P P^T - I| of the rows, or the columns, of a matrix, as a value [1].
Result<ValueId> append_distance(Graph& graph, ValueId matrix, int64_t r,
                                bool columns, const std::string& name) {
  std::vector<float> identity(static_cast<size_t>(r * r), 0.0f);
  for (int64_t i = 0; i < r; ++i)
    identity[static_cast<size_t>(i * (r + 1))] = 1;
  const ValueId one = graph.add_owned(ValueKind::kConstant, name + "/identity",
                                      real_type({r, r}), identity);
  const auto node = [&](const OpDef& op, std::vector<ValueId> in, Attrs attrs,
                        const char* what) {
    return append(graph, op, std::move(in), std::move(attrs),
                  {.name = name + what});
  };
  const int64_t size = graph.value(matrix).type.shape.num_elements() / r;
  if (!columns) {
    FT_TRY(matrix, node(ops::kReshape, {matrix},
                        {{"shape", std::vector<int64_t>{r, size}}}, "/rows"));
  }
  FT_TRY(ValueId v, node(ops::kMatmul, {matrix, matrix},
                         {{columns ? "trans_a" : "trans_b", 1}}, "/product"));
  FT_TRY(v, node(ops::kBinary, {v, one}, {{"kind", "sub"}}, "/difference"));
  FT_TRY(v, node(ops::kBinary, {v, v}, {{"kind", "mul"}}, "/squares"));
  FT_TRY(v, node(ops::kReshape, {v},
                 {{"shape", std::vector<int64_t>{1, r * r}}}, "/row"));
  FT_TRY(v, node(ops::kReduce, {v},
                 {{"kind", "sum"},
                  {"axes", std::vector<int64_t>{1}},
                  {"keep_dims", 0}},
                 "/sum"));
  return node(ops::kUnary, {v}, {{"kind", "sqrt"}}, "/root");
}

// The mean distance of all factors, weighted.
Status append_penalty(Graph& graph, double weight, AdaptedGraph& adapted) {
  const auto& triplets = adapted.ranks.triplets;
  ValueId sum = kNone;
  for (const RankTriplet& t : triplets) {
    const int64_t r = graph.value(t.e).type.shape[0];
    for (const bool columns : {false, true}) {
      const ValueId factor = columns ? t.b : t.a;
      FT_TRY(ValueId distance,
             append_distance(graph, factor, r, columns,
                             graph.value(factor).name + "/orthogonal"));
      if (sum != kNone) {
        FT_TRY(distance, append(graph, ops::kBinary, {sum, distance},
                                {{"kind", "add"}}, {}));
      }
      sum = distance;
    }
  }
  FT_TRY(adapted.penalty,
         append_scaled(graph, sum,
                       weight / (2.0 * static_cast<double>(triplets.size()))));
  return ok_status();
}

// By the rank at the start, for layers that are too small for it as well; times
// the adapter's weight.
double scaling_of(const MethodSettings& settings) {
  return settings.weight * settings.lora_alpha / (settings.r + 1e-5);
}

Status apply(Graph& graph, const MethodSettings& settings,
             AdaptedGraph& adapted) {
  FT_TRY_STATUS(check_settings(settings));
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  RankAllocation& ranks = adapted.ranks;
  int64_t target = 0;
  FT_TRY_STATUS(
      rewrite_modules(graph, settings, [&](const AdaptableModule& m) -> Status {
        const int r = effective_rank(settings, m);
        FT_TRY_STATUS(check_low_rank_module(graph, m, r, settings.method));
        const Triplet t = add_triplet(graph, m, r, settings.seed, adapted);
        ranks.triplets.push_back({t.f.a, t.f.b, t.e});
        target += std::min<int64_t>(r, settings.integer(kTargetR));
        return adapt_with_diagonal(graph, m, t.f, t.e, scaling_of(settings));
      }));
  FT_TRY_STATUS(train_biases_beside(graph, settings, adapted));
  ranks.score = {{"beta1", settings.real(kBeta1)},
                 {"beta2", settings.real(kBeta2)},
                 {"last_step", last_allocation(settings)}};
  ranks.schedule = {{"target", target},
                    {"tinit", settings.integer(kTinit)},
                    {"tfinal", settings.integer(kTfinal)},
                    {"total_step", total_of(settings)},
                    {"delta_t", settings.integer(kDeltaT)}};
  const double weight = settings.real(kOrthogonal);
  return weight > 0 && !ranks.triplets.empty()
             ? append_penalty(graph, weight, adapted)
             : ok_status();
}

Result<std::vector<MergedModule>> merge(const Graph& base,
                                        const MethodSettings& settings,
                                        const TensorMap& tensors) {
  std::vector<MergedModule> merged;
  for (const AdaptableModule& m : adaptable_modules(base)) {
    const auto a = tensors.find(peft_key(m.name, "lora_A"));
    const auto b = tensors.find(peft_key(m.name, "lora_B"));
    const auto e = tensors.find(peft_key(m.name, "lora_E"));
    if (a == tensors.end() || b == tensors.end() || e == tensors.end())
      continue;
    const int r = effective_rank(settings, m);
    std::vector<float> scaled = a->second;
    if (e->second.size() != static_cast<size_t>(r))
      return invalid_input(fmt::format(
          "adapter tensors of '{}' do not have rank {}", m.name, r));
    for (size_t i = 0; i < scaled.size(); ++i)
      scaled[i] *= e->second[i / (scaled.size() / static_cast<size_t>(r))];
    std::vector<float> weight = base_weight(base, m);
    FT_TRY_STATUS(
        add_product(m, scaling_of(settings), r, scaled, b->second, weight));
    merged.push_back({m.name, std::move(weight), {}});
  }
  FT_TRY_STATUS(merge_biases(base, tensors, merged));
  merge_head(base, tensors, merged);
  return merged;
}

constexpr const SettingDef* kSettings[] = {&kTargetR,    &kTinit,     &kTfinal,
                                           &kDeltaT,     &kBeta1,     &kBeta2,
                                           &kOrthogonal, &kTotalStep, &kBias};

}  // namespace

extern const MethodDef kAdalora;
constinit const MethodDef kAdalora = {
    .name = "adalora",
    .summary = "LoRA as B diag(E) A; training gives each layer its rank",
    .default_rank = 12,
    .settings = kSettings,
    .apply = apply,
    .merge = merge,
    .weighted = true,
    .total_updates = &kTotalStep,
    .first_result = last_allocation};

}  // namespace ft
