// Bottleneck adapters: y + scaling * (W_up act(W_down y + b_down) + b_up).
//
// Sources: Houlsby et al., "Parameter-Efficient Transfer Learning for NLP",
// 2019 (behind every sublayer, before its residual sum); Pfeiffer et al.,
// "AdapterFusion", 2021 (once a block, behind the residual sum); He et al.,
// "Towards a Unified View of Parameter-Efficient Transfer Learning", 2022
// (parallel: from the layer's input, added where the layer accumulates, so a
// non-linear h in LoRA's place; parallel_block: from what the block's residual
// sum adds to the layer's output, which is AdapterHub's parallel one).
// Settings, tensor names and initial values are AdapterHub's (W_up zero as its
// `mam_adapter`, so that an int8 base starts with its own bits). On images the
// projections are 1x1 convolutions; the parallel one has its layer's own
// window. Merging is not possible: no weight of the base holds a non-linearity.
#include <fmt/format.h>

#include <cmath>

#include "kernels/kernel.h"
#include "methods/bottleneck_sites.h"
#include "methods/head.h"
#include "methods/norm.h"
#include "methods/rewrite.h"
#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

using Kind = SettingDef::Kind;

constexpr SettingDef kReduction{
    "reduction_factor",
    Kind::kReal,
    "the bottleneck is this many times narrower than the activation",
    "16",
    0.0625,
    65536};
constexpr SettingDef kNonLinearity{
    "non_linearity",
    Kind::kWord,
    "of the bottleneck, by AdapterHub's names",
    "relu",
    0,
    0,
    "relu relu6 gelu gelu_new silu swish leakyrelu tanh sigmoid linear"};
constexpr SettingDef kVariant{
    "variant",
    Kind::kWord,
    "houlsby: behind each layer, pfeiffer: behind each block, parallel: beside "
    "the layer, parallel_block: beside the block",
    "pfeiffer",
    0,
    0,
    "houlsby pfeiffer parallel parallel_block"};
constexpr SettingDef kScaling{"scaling", Kind::kReal, "factor of what is added",
                              "1",       -1e4,        1e4};
constexpr const SettingDef* kSettings[] = {&kVariant, &kReduction,
                                           &kNonLinearity, &kScaling};

struct Params {
  ValueId down_w, down_b, up_w, up_b;
};

struct Sizes {
  int64_t in, hidden, out, kh = 1, kw = 1;
  bool image = false;     // PyTorch keeps it as convolutions
  bool parallel = false;  // down is the layer's own op, up_b a column
};

Params add_params(Graph& graph, const std::string& module, const Sizes& s,
                  uint64_t seed, AdaptedGraph& adapted) {
  const auto add = [&](const char* what, const Shape& shape, const Shape& view,
                       std::vector<int> perm,
                       const std::vector<float>& values) {
    const std::string key = peft_key(module, what);
    const ValueId id = graph.add_owned(ValueKind::kParam, module + "/" + what,
                                       real_type(shape), values);
    adapted.tensors.push_back(
        {.name = key, .param = id, .view = view, .perm = std::move(perm)});
    return id;
  };
  const auto zeros = [](int64_t n) {
    return std::vector<float>(static_cast<size_t>(n), 0.0f);
  };
  const int64_t fan_in = s.kh * s.kw * s.in;
  const Shape matrix{s.hidden, s.in}, image{s.hidden, s.kh, s.kw, s.in};
  const std::vector<int> to_torch =
      s.image ? std::vector<int>{0, 3, 1, 2} : std::vector<int>{0, 1};
  Params p{};
  p.down_w =
      add("adapter_down.0.weight", s.image && s.parallel ? image : matrix,
          s.image ? image : matrix, to_torch,
          uniform_values(static_cast<size_t>(s.hidden * fan_in),
                         1 / std::sqrt(static_cast<double>(fan_in)), seed,
                         peft_key(module, "adapter_down.0")));
  p.down_b =
      add("adapter_down.0.bias", {s.hidden}, {s.hidden}, {0}, zeros(s.hidden));
  p.up_w = add("adapter_up.weight", {s.out, s.hidden},
               s.image ? Shape{s.out, 1, 1, s.hidden} : Shape{s.out, s.hidden},
               to_torch, zeros(s.out * s.hidden));
  p.up_b = add("adapter_up.bias", s.parallel ? Shape{s.out, 1} : Shape{s.out},
               {s.out}, {0}, zeros(s.out));
  return p;
}

// Activations that a linear node clamps itself cost no node of their own.
int64_t fused_act(const std::string& name) {
  if (name == "relu") return FT_ACT_RELU;
  return name == "relu6" ? FT_ACT_RELU6 : FT_ACT_NONE;
}

Result<ValueId> append_activation(Graph& graph, ValueId x,
                                  const std::string& name,
                                  const std::string& node) {
  if (name == "linear" || fused_act(name) != FT_ACT_NONE) return x;
  Attrs attrs;
  if (name == "leakyrelu")
    attrs = {{"kind", "leaky_relu"}, {"alpha", 0.01}};
  else if (name == "gelu_new")
    attrs = {{"kind", "gelu"}, {"approximate", 1}};
  else if (name == "sigmoid")
    attrs = {{"kind", "logistic"}};
  else
    attrs = {{"kind", name == "swish" ? "silu" : name}};
  return append(graph, ops::kUnary, {x}, attrs, {.name = node});
}

Attrs projection_attrs(int64_t act) {
  return {{"keep_num_dims", 1}, {"act", act}};
}

int64_t width(const MethodSettings& settings, int64_t channels) {
  return bottleneck_width(channels, settings.real(kReduction));
}

// What the adapter reads: the site's value, or the norm of it.
Result<ValueId> append_read(Graph& graph, const BottleneckSite& site) {
  if (site.norm == kNone) return site.from;
  const Node norm = graph.node(site.norm);
  std::vector<ValueId> inputs = norm.inputs;
  inputs[0] = site.from;
  Attrs attrs = norm.attrs;
  attrs.set(kNormOfAdapter, int64_t{1});
  return append(graph, *norm.op, std::move(inputs), std::move(attrs),
                {.name = site.module + "/adapter_norm"});
}

// Added to the value that `site` names.
Status insert_sequential(Graph& graph, const BottleneckSite& site,
                         const MethodSettings& settings,
                         AdaptedGraph& adapted) {
  const std::string& name = site.module;
  const Shape shape = graph.value(site.from).type.shape;
  const Sizes sizes{.in = shape.back(),
                    .hidden = width(settings, shape.back()),
                    .out = shape.back(),
                    .image = site.image};
  const Params p = add_params(graph, name, sizes, settings.seed, adapted);
  const std::string act = settings.word(kNonLinearity);
  const NodeId first_new = graph.num_nodes();
  Attrs down = projection_attrs(fused_act(act));
  down.set("recompute", int64_t{1});  // y is kept anyway, for the down weights
  FT_TRY(const ValueId x, append_read(graph, site));
  FT_TRY(ValueId h, append(graph, ops::kFullyConnected, {x, p.down_w, p.down_b},
                           down, {.name = name + "/adapter_down"}));
  FT_TRY(h, append_activation(graph, h, act, name + "/adapter_act"));
  Attrs to_up = projection_attrs(FT_ACT_NONE);
  if (fused_act(act) != FT_ACT_NONE) to_up.set("zeros_in_x", int64_t{1});
  FT_TRY(ValueId up, append(graph, ops::kFullyConnected, {h, p.up_w, p.up_b},
                            to_up, {.name = name + "/adapter_up"}));
  const double scaling = settings.real(kScaling) * settings.weight;
  if (scaling != 1) {
    FT_TRY(up, append_scaled(graph, up, scaling));
  }
  FT_TRY(const ValueId sum, append(graph, ops::kResidualAdd, {site.value, up},
                                   {}, {.name = name + "/adapter_sum"}));
  insert_behind(graph, first_new, site.value, sum, site.end);
  return ok_status();
}

// [w | bias] [out, hidden + 1]: the constant 1 that h is padded with carries
// the bias into the layer's accumulators.
Result<ValueId> with_bias_column(Graph& graph, const Params& p,
                                 const std::string& name) {
  return append(graph, ops::kConcat, {p.up_w, p.up_b}, {{"axis", 1}},
                {.name = name + "/adapter_up"});
}

Result<ValueId> append_ones_column(Graph& graph, ValueId h,
                                   const std::string& name) {
  const auto rank = static_cast<size_t>(graph.value(h).type.shape.rank());
  std::vector<int64_t> before(rank, 0), after(rank, 0);
  after.back() = 1;
  return append(graph, ops::kPad, {h},
                {{"before", before}, {"after", after}, {"value", 1.0}},
                {.name = name + "/adapter_h"});
}

// Beside the layer: h in the place of LoRA's.
Status insert_parallel(Graph& graph, const AdaptableModule& m,
                       const MethodSettings& settings, AdaptedGraph& adapted) {
  const Node layer = graph.node(m.node);
  const bool image = m.kind == "conv2d";
  Sizes sizes{.in = m.weight.back(),
              .hidden = width(settings, m.rows),
              .out = m.rows,
              .image = image,
              .parallel = true};
  if (image) {
    sizes.kh = m.weight[1];
    sizes.kw = m.weight[2];
  }
  const Params p = add_params(graph, m.name, sizes, settings.seed, adapted);
  const std::string act = settings.word(kNonLinearity);
  const NodeId first_new = graph.num_nodes();
  Attrs down = layer.attrs;
  down.set("act", fused_act(act));
  down.set("lora_scaling", 1.0);
  FT_TRY(ValueId h,
         append(graph, *layer.op, {layer.inputs[0], p.down_w, p.down_b}, down,
                {.name = m.name + "/adapter_down"}));
  FT_TRY(h, append_activation(graph, h, act, m.name + "/adapter_act"));
  FT_TRY(h, append_ones_column(graph, h, m.name));
  FT_TRY(const ValueId up, with_bias_column(graph, p, m.name));
  FT_TRY_STATUS(join_side(graph, m.node, h, up,
                          settings.real(kScaling) * settings.weight));
  move_in_front(graph, first_new, m.node);
  return ok_status();
}

Status apply(Graph& graph, const MethodSettings& settings,
             AdaptedGraph& adapted) {
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  const std::string variant = settings.word(kVariant);
  if (const int64_t layers = count_layers(graph); layers > 0)
    adapted.metadata["num_layers"] = fmt::format("{}", layers);
  FT_TRY(const auto modules, bottleneck_modules(graph, settings, variant));
  for (const AdaptableModule& selected : modules) {
    const AdaptableModule m = current(graph, selected);
    if (variant == "parallel") {
      FT_TRY_STATUS(check_parallel(graph, m));
      FT_TRY_STATUS(insert_parallel(graph, m, settings, adapted));
      continue;
    }
    FT_TRY(const BottleneckSite site, bottleneck_site(graph, m, variant));
    FT_TRY_STATUS(insert_sequential(graph, site, settings, adapted));
  }
  return ok_status();
}

}  // namespace

extern const MethodDef kBottleneck;
constinit const MethodDef kBottleneck = {
    .name = "bottleneck",
    .summary = "small non-linear layers behind blocks or beside layers",
    .settings = kSettings,
    .apply = apply,
    .merge = nullptr,
    .weighted = true};

}  // namespace ft
