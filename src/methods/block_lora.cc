// Block-sparse LoRA: W' = W + (lora_alpha / r) B A where A is 0 outside of some
// blocks of input channels. A block is `block_size` neighbours, a tile of the
// kernels' loops; each layer keeps the share `density` of its blocks, those
// whose base weights are largest (sum of squares, lower number first), or any.
// Blocks of zeros are not stored, not read, not multiplied and not trained: A
// is held without them, [r, ..., kept], and block_conv2d reads the others only.
//
// The file names the blocks of each layer (kMaskTensor), so that it tells
// everything. Layers whose input channels are not whole blocks are left out, or
// refused where they were asked for.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "methods/biases.h"
#include "methods/head.h"
#include "methods/low_rank.h"
#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

using Kind = SettingDef::Kind;
constinit const SettingDef kBlockSize = {.name = "block_size",
                                         .kind = Kind::kInt,
                                         .summary = "input channels in a block",
                                         .preset = "8",
                                         .low = 1,
                                         .high = 65536};
constinit const SettingDef kDensity = {
    .name = "block_density",
    .kind = Kind::kReal,
    .summary = "part of each layer's blocks that is kept",
    .preset = "0.5",
    .low = 1e-6,
    .high = 1};
constinit const SettingDef kMask = {
    .name = "block_mask",
    .kind = Kind::kWord,
    .summary = "which blocks: those of the largest base weights, or any",
    .preset = "magnitude",
    .words = "magnitude random"};

Status check_blocks(const Graph& graph, const AdaptableModule& m,
                    const MethodSettings& settings) {
  if (m.kind != "conv2d" && m.kind != "fully_connected")
    return usage_error(
        fmt::format("method block-lora is not defined on the {} '{}'; leave it "
                    "out with --target-modules",
                    m.kind, m.name));
  FT_TRY_STATUS(check_not_grouped(graph, m, settings.method));
  const int64_t block = settings.integer(kBlockSize);
  const int64_t in = kernel_extent(m).in;
  if (in % block == 0) return ok_status();
  return usage_error(
      fmt::format("block_size {} does not divide the {} input channels of '{}'",
                  block, in, m.name));
}

// What speaks for keeping each block.
std::vector<double> scores_of(const Graph& graph, const AdaptableModule& m,
                              const MethodSettings& settings) {
  const int64_t in = kernel_extent(m).in, block = settings.integer(kBlockSize);
  std::vector<double> scores(static_cast<size_t>(in / block), 0.0);
  if (settings.word(kMask) == "random") {
    const Random random(settings.seed, "blocks/" + m.name);
    for (size_t i = 0; i < scores.size(); ++i)
      scores[i] = static_cast<double>(random.uniform(i));
    return scores;
  }
  const std::vector<float> weight = base_weight(graph, m);
  for (size_t i = 0; i < weight.size(); ++i) {
    const auto w = static_cast<double>(weight[i]);
    scores[static_cast<size_t>(static_cast<int64_t>(i) % in / block)] += w * w;
  }
  return scores;
}

// Numbers of the kept blocks, ascending.
std::vector<int32_t> choose_blocks(const Graph& graph, const AdaptableModule& m,
                                   const MethodSettings& settings) {
  const std::vector<double> scores = scores_of(graph, m, settings);
  std::vector<int32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int32_t a, int32_t b) {
    return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)];
  });
  const double share =
      settings.real(kDensity) * static_cast<double>(scores.size());
  order.resize(static_cast<size_t>(std::max(1.0, std::round(share))));
  std::ranges::sort(order);
  return order;
}

// As a file has them: ascending numbers in range.
Result<std::vector<int32_t>> blocks_in_file(const AdaptableModule& m,
                                            const MethodSettings& settings,
                                            std::span<const float> numbers) {
  const int64_t limit = kernel_extent(m).in / settings.integer(kBlockSize);
  std::vector<int32_t> blocks;
  float below = -1;
  for (const float v : numbers) {
    if (!(v > below && v < static_cast<float>(limit)) || v != std::floor(v))
      return invalid_input(
          fmt::format("{} of '{}' holds {}, where ascending numbers of its {} "
                      "blocks are needed",
                      kMaskTensor, m.name, v, limit));
    below = v;
    blocks.push_back(static_cast<int32_t>(v));
  }
  if (!blocks.empty()) return blocks;
  return invalid_input(fmt::format("{} of '{}' is empty", kMaskTensor, m.name));
}

Result<std::vector<int32_t>> blocks_of(const Graph& graph,
                                       const AdaptableModule& m,
                                       const MethodSettings& settings) {
  const auto given = settings.masks.find(m.name);
  if (given != settings.masks.end())
    return blocks_in_file(m, settings, given->second);
  return choose_blocks(graph, m, settings);
}

// The module as if its input had the kept channels only.
AdaptableModule narrowed(AdaptableModule m, int64_t kept) {
  const int64_t in = kernel_extent(m).in;
  m.weight.set(m.weight.rank() - 1, kept);
  m.columns = m.columns / in * kept;
  return m;
}

Result<ValueId> reshape(Graph& graph, ValueId x, std::vector<int64_t> dims,
                        const std::string& name) {
  return append(graph, ops::kReshape, {x}, {{"shape", std::move(dims)}},
                {.name = name});
}

// h = A x of the kept blocks: [..., r]. A dense layer is a 1x1 convolution of
// an image that holds all its rows.
Result<ValueId> append_h(Graph& graph, const AdaptableModule& m, ValueId a,
                         const std::vector<int32_t>& blocks, int64_t block) {
  const Node layer = graph.node(m.node);
  const ValueId index =
      graph.add_owned(ValueKind::kConstant, m.name + "/kept_blocks",
                      {.dtype = DType::kS32,
                       .shape = {static_cast<int64_t>(blocks.size())},
                       .quant = {}},
                      blocks);
  Attrs attrs = is_matrix(m) ? Attrs() : layer.attrs;
  attrs.set("act", int64_t{0});
  attrs.set("block", block);
  attrs.set("recompute", int64_t{1});
  ValueId x = layer.inputs[0];
  const Shape as = graph.value(a).type.shape;
  const int64_t in = kernel_extent(m).in;
  const int64_t rows = graph.value(x).type.shape.num_elements() / in;
  if (is_matrix(m)) {
    FT_TRY(x, reshape(graph, x, {1, rows, 1, in}, m.name + "/block_x"));
    FT_TRY(a, reshape(graph, a, {as[0], 1, 1, as[1]}, m.name + "/block_A"));
  }
  FT_TRY(const ValueId h, append(graph, ops::kBlockConv2d, {x, a, index}, attrs,
                                 {.name = m.name + "/lora_h"}));
  if (!is_matrix(m)) return h;
  return reshape(graph, h, {rows, as[0]}, m.name + "/lora_h/rows");
}

void add_index(const AdaptableModule& m, const std::vector<int32_t>& blocks,
               AdaptedGraph& adapted) {
  AdapterTensor index{.name = peft_key(m.name, kMaskTensor),
                      .view = {static_cast<int64_t>(blocks.size())},
                      .perm = {0}};
  index.fixed.assign(blocks.begin(), blocks.end());
  index.trainable = false;
  adapted.tensors.push_back(std::move(index));
}

Status adapt(Graph& graph, const MethodSettings& settings,
             const AdaptableModule& m, AdaptedGraph& adapted) {
  FT_TRY(const auto blocks, blocks_of(graph, m, settings));
  const int64_t block = settings.integer(kBlockSize);
  const AdaptableModule narrow =
      narrowed(m, static_cast<int64_t>(blocks.size()) * block);
  const int r = effective_rank(settings, narrow);
  if (r < 1 || r > narrow.max_rank())
    return usage_error(fmt::format(
        "rank {} is not from 1 to {}, what the {} kept columns of '{}' can "
        "have; lower --rank, or keep more blocks",
        r, narrow.max_rank(), narrow.columns, m.name));
  const Factors f = add_factors(graph, narrow, r, 1, settings.seed, adapted);
  add_index(m, blocks, adapted);
  FT_TRY(const ValueId h, append_h(graph, m, f.a, blocks, block));
  return join_side(graph, m.node, h, f.b, lora_scaling(settings, m, r));
}

Status apply(Graph& graph, const MethodSettings& settings,
             AdaptedGraph& adapted) {
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  bool any = false;
  std::string why = "the model has no layer that methods can adapt";
  FT_TRY_STATUS(
      rewrite_modules(graph, settings, [&](const AdaptableModule& m) -> Status {
        Status status = check_blocks(graph, m, settings);
        if (!status.ok() && !settings.target_modules.empty()) return status;
        if (!status.ok()) {
          why = status.message();
          return ok_status();
        }
        any = true;
        return adapt(graph, settings, m, adapted);
      }));
  return any ? train_biases_beside(graph, settings, adapted)
             : usage_error("method block-lora fits no layer: " + why);
}

// A of the kept channels with the zeros of all others, as files order it.
std::vector<float> with_zeros(const AdaptableModule& m,
                              const std::vector<int32_t>& blocks, int64_t block,
                              int64_t r, const std::vector<float>& a) {
  const KernelExtent k = kernel_extent(m);
  const int64_t image = k.h * k.w;
  const auto kept = static_cast<int64_t>(blocks.size()) * block;
  std::vector<float> all(static_cast<size_t>(r * k.size()), 0.0f);
  for (int64_t l = 0; l < r; ++l)
    for (int64_t i = 0; i < kept; ++i) {
      const int64_t channel =
          blocks[static_cast<size_t>(i / block)] * block + i % block;
      for (int64_t t = 0; t < image; ++t)
        all[static_cast<size_t>((l * k.in + channel) * image + t)] =
            a[static_cast<size_t>((l * kept + i) * image + t)];
    }
  return all;
}

Result<MergedModule> merge_module(const Graph& base, const AdaptableModule& m,
                                  const MethodSettings& settings,
                                  const std::vector<float>& index,
                                  const std::vector<float>& a,
                                  const std::vector<float>& b) {
  FT_TRY_STATUS(check_blocks(base, m, settings));
  FT_TRY(const auto blocks, blocks_in_file(m, settings, index));
  const int64_t block = settings.integer(kBlockSize);
  const AdaptableModule narrow =
      narrowed(m, static_cast<int64_t>(blocks.size()) * block);
  const int r = effective_rank(settings, narrow);
  if (a.size() != static_cast<size_t>(r * narrow.columns))
    return invalid_input(fmt::format(
        "the adapter's A of '{}' has {} values, rank {} and {} blocks need {}",
        m.name, a.size(), r, blocks.size(), r * narrow.columns));
  std::vector<float> weight = base_weight(base, m);
  FT_TRY_STATUS(add_product(m, lora_scaling(settings, m, r), r,
                            with_zeros(m, blocks, block, r, a), b, weight));
  return MergedModule{m.name, std::move(weight), {}};
}

Result<std::vector<MergedModule>> merge(const Graph& base,
                                        const MethodSettings& settings,
                                        const TensorMap& tensors) {
  std::vector<MergedModule> merged;
  for (const AdaptableModule& m : adaptable_modules(base)) {
    const auto index = tensors.find(peft_key(m.name, kMaskTensor));
    const auto a = tensors.find(peft_key(m.name, "lora_A.weight"));
    const auto b = tensors.find(peft_key(m.name, "lora_B.weight"));
    if (index == tensors.end() || a == tensors.end() || b == tensors.end())
      continue;
    FT_TRY(MergedModule module, merge_module(base, m, settings, index->second,
                                             a->second, b->second));
    merged.push_back(std::move(module));
  }
  FT_TRY_STATUS(merge_biases(base, tensors, merged));
  merge_head(base, tensors, merged);
  return merged;
}

constexpr const SettingDef* kSettings[] = {&kBlockSize, &kDensity, &kMask,
                                           &kUseRslora, &kBias};

}  // namespace

extern const MethodDef kBlockLora;
constinit const MethodDef kBlockLora = {
    .name = "block-lora",
    .summary = "LoRA whose A is zero outside of some blocks of input channels",
    .default_rank = 4,
    .settings = kSettings,
    .apply = apply,
    .merge = merge,
    .weighted = true};

}  // namespace ft
