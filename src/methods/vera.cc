// VeRA: W' = W + diag(lambda_b) B diag(lambda_d) A with one random pair A
// [r, widest input], B [widest output, r] for all layers, frozen; a layer reads
// the part that it needs and trains the two vectors only.
//
// Source: Kopiczko et al., "VeRA: Vector-based Random Matrix Adaptation", 2024;
// names, shapes and initial values as HF PEFT: A and B Kaiming-uniform,
// lambda_d constant, lambda_b 0. PEFT draws A and B from PyTorch's generator by
// projection_prng_key; ours are other numbers, so the adapter always holds them
// (save_projection). PEFT knows fully connected layers; here a convolution's
// input is its kernel, [kh, kw, in] in one row.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "methods/head.h"
#include "methods/low_rank.h"
#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

constinit const SettingDef kPrngKey = {
    .name = "projection_prng_key",
    .kind = SettingDef::Kind::kInt,
    .summary = "seed of the shared random matrices",
    .preset = "0",
    .low = 0,
    .high = 2147483647};
constinit const SettingDef kInitialD = {.name = "d_initial",
                                        .kind = SettingDef::Kind::kReal,
                                        .summary = "initial value of lambda_d",
                                        .preset = "0.1",
                                        .low = -1e3,
                                        .high = 1e3};

constexpr char kKeyA[] = "base_model.vera_A";
constexpr char kKeyB[] = "base_model.vera_B";

// What all layers share.
struct Projection {
  int64_t r, columns, rows;
};

Projection projection_of(const std::vector<AdaptableModule>& modules, int r) {
  Projection p{r, 0, 0};
  for (const AdaptableModule& m : modules) {
    p.columns = std::max(p.columns, m.columns);
    p.rows = std::max(p.rows, m.rows);
  }
  return p;
}

Status check(const MethodSettings& s) {
  if (!s.rank_pattern.empty() || !s.alpha_pattern.empty())
    return usage_error(
        "method vera shares its matrices among all layers: leave out "
        "--rank-pattern and --alpha-pattern");
  if (s.lora_alpha != 2.0 * s.r)
    return usage_error("method vera has no lora_alpha: leave out --alpha");
  if (s.r >= 1) return ok_status();
  return usage_error(
      fmt::format("method vera: rank {} must be at least 1", s.r));
}

ValueId add_frozen(Graph& graph, const char* key, const Shape& shape,
                   int64_t fan_in, uint64_t seed, AdaptedGraph& adapted) {
  const double bound = std::sqrt(6.0 / static_cast<double>(fan_in));
  const auto count = static_cast<size_t>(shape.num_elements());
  AdapterTensor t{.name = key, .view = shape, .perm = {0, 1}};
  t.trainable = false;
  t.param = graph.add_owned(ValueKind::kParam, key, real_type(shape),
                            uniform_values(count, bound, seed, key));
  const ValueId id = t.param;
  adapted.tensors.push_back(std::move(t));
  return id;
}

// The first rows and columns, in the shape that the layer asks for.
Result<ValueId> part_of(Graph& graph, ValueId matrix, int64_t rows,
                        int64_t columns, const Shape& shape,
                        const std::string& name) {
  const std::vector<int64_t> begin{0, 0}, size{rows, columns};
  const std::vector<int64_t> dims(shape.dims().begin(), shape.dims().end());
  ValueId part = matrix;
  if (graph.value(matrix).type.shape != Shape{rows, columns}) {
    FT_TRY(part, append(graph, ops::kSlice, {part},
                        {{"begin", begin}, {"size", size}, {"recompute", 1}},
                        {.name = name}));
  }
  if (shape == Shape{rows, columns}) return part;
  return append(graph, ops::kReshape, {part}, {{"shape", dims}},
                {.name = name + "/reshaped"});
}

Status adapt(Graph& graph, const AdaptableModule& m, const Factors& shared,
             int64_t r, double weight, float d_initial, AdaptedGraph& adapted) {
  const KernelExtent k = kernel_extent(m);
  const Shape a_shape =
      m.kind == "conv2d" ? Shape{r, k.h, k.w, k.in} : Shape{r, m.columns};
  Factors f;
  FT_TRY(f.a,
         part_of(graph, shared.a, r, m.columns, a_shape, m.name + "/vera_A"));
  FT_TRY(const ValueId b,
         part_of(graph, shared.b, m.rows, r, {m.rows, r}, m.name + "/vera_B"));
  const auto filled = [](int64_t count, float value) {
    return std::vector<float>(static_cast<size_t>(count), value);
  };
  const ValueId lambda_b = add_vector(graph, m, "vera_lambda_b", {m.rows, 1},
                                      {m.rows}, filled(m.rows, 0), adapted);
  const ValueId lambda_d = add_vector(graph, m, "vera_lambda_d", {r}, {r},
                                      filled(r, d_initial), adapted);
  FT_TRY(f.b, append(graph, ops::kBinary, {b, lambda_b}, {{"kind", "mul"}},
                     {.name = m.name + "/vera_scaled_B"}));
  return adapt_with_diagonal(graph, m, f, lambda_d, weight);
}

Status apply(Graph& graph, const MethodSettings& settings,
             AdaptedGraph& adapted) {
  FT_TRY_STATUS(check(settings));
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  FT_TRY(const auto modules, select_modules(graph, settings));
  const Projection p = projection_of(modules, settings.r);
  const auto seed = static_cast<uint64_t>(settings.integer(kPrngKey));
  const Factors shared{
      add_frozen(graph, kKeyA, {p.r, p.columns}, p.columns, seed, adapted),
      add_frozen(graph, kKeyB, {p.rows, p.r}, p.r, seed, adapted)};
  const auto d_initial = static_cast<float>(settings.real(kInitialD));
  return rewrite_modules(
      graph, settings, [&](const AdaptableModule& m) -> Status {
        FT_TRY_STATUS(check_not_grouped(graph, m, settings.method));
        return adapt(graph, m, shared, p.r, settings.weight, d_initial,
                     adapted);
      });
}

// A's part as files hold a layer's own A: [r, in, kh, kw].
std::vector<float> part_in_file_order(const AdaptableModule& m,
                                      const Projection& p,
                                      const std::vector<float>& a,
                                      const std::vector<float>& lambda_d) {
  const KernelExtent k = kernel_extent(m);
  std::vector<float> part;
  for (int64_t l = 0; l < p.r; ++l)
    for (int64_t i = 0; i < k.in; ++i)
      for (int64_t tap = 0; tap < k.h * k.w; ++tap)
        part.push_back(lambda_d[static_cast<size_t>(l)] *
                       a[static_cast<size_t>(l * p.columns + tap * k.in + i)]);
  return part;
}

Result<std::vector<MergedModule>> merge(const Graph& base,
                                        const MethodSettings& settings,
                                        const TensorMap& tensors) {
  std::vector<MergedModule> merged;
  const auto find = [&](const std::string& key) -> const std::vector<float>* {
    const auto at = tensors.find(key);
    return at == tensors.end() ? nullptr : &at->second;
  };
  const auto *a = find(kKeyA), *b = find(kKeyB);
  if (a == nullptr || b == nullptr)
    return invalid_input(fmt::format(
        "the adapter lacks the shared matrices '{}' and '{}'", kKeyA, kKeyB));
  std::vector<AdaptableModule> chosen;
  for (const AdaptableModule& m : adaptable_modules(base))
    if (find(peft_key(m.name, "vera_lambda_b")) != nullptr) chosen.push_back(m);
  const Projection p = projection_of(chosen, settings.r);
  for (const AdaptableModule& m : chosen) {
    const auto& lambda_b = *find(peft_key(m.name, "vera_lambda_b"));
    const auto* lambda_d = find(peft_key(m.name, "vera_lambda_d"));
    if (lambda_d == nullptr ||
        a->size() != static_cast<size_t>(p.r * p.columns) ||
        b->size() != static_cast<size_t>(p.rows * p.r) ||
        lambda_d->size() != static_cast<size_t>(p.r) ||
        lambda_b.size() != static_cast<size_t>(m.rows))
      return invalid_input(fmt::format(
          "adapter tensors of '{}' do not have rank {}", m.name, p.r));
    std::vector<float> scaled(b->begin(), b->begin() + m.rows * p.r);
    for (size_t i = 0; i < scaled.size(); ++i)
      scaled[i] *= lambda_b[i / static_cast<size_t>(p.r)];
    std::vector<float> weight = base_weight(base, m);
    FT_TRY_STATUS(add_product(m, settings.weight, p.r,
                              part_in_file_order(m, p, *a, *lambda_d), scaled,
                              weight));
    merged.push_back({m.name, std::move(weight), {}});
  }
  merge_head(base, tensors, merged);
  return merged;
}

constexpr const SettingDef* kSettings[] = {&kPrngKey, &kInitialD};

}  // namespace

extern const MethodDef kVera;
constinit const MethodDef kVera = {
    .name = "vera",
    .summary = "scales of one frozen random low-rank pair shared by all layers",
    .default_rank = 32,
    .settings = kSettings,
    .apply = apply,
    .merge = merge,
    .weighted = true};

}  // namespace ft
