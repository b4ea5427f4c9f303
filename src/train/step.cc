#include "train/step.h"

#include <fmt/format.h>

#include <map>

#include "autodiff/backward.h"
#include "methods/compose.h"
#include "methods/head.h"
#include "ops/all_ops.h"
#include "ops/append.h"
#include "passes/dead_code.h"
#include "passes/early_updates.h"
#include "passes/fuse_gradient_sums.h"
#include "passes/fuse_updates.h"
#include "passes/int8_sides.h"
#include "passes/integerize.h"
#include "passes/overwrite_gradients.h"
#include "passes/recompute.h"
#include "train/drop_search.h"
#include "train/updates.h"

namespace ft {
namespace {

// The answer in real numbers: logits of a classifier, else the output.
Result<ValueId> real_answer(Graph& graph) {
  const ValueId answer = find_head(graph).logits;
  if (answer == kNone) return invalid_input("the model has no output");
  const TensorType& type = graph.value(answer).type;
  if (type.dtype == DType::kF32) return answer;
  if (type.dtype == DType::kS8)
    return append(graph, ops::kDequantize, {answer}, {},
                  {.name = graph.value(answer).name + "/real"});
  return invalid_input(fmt::format(
      "the model's output is {}, expected float32 or int8", type.to_string()));
}

Result<ValueId> append_loss(Graph& graph, Loss loss, ValueId answer) {
  const Shape shape = graph.value(answer).type.shape;
  if (loss == Loss::kMse) {
    const ValueId target = graph.add_input(
        "target", {.dtype = DType::kF32, .shape = shape, .quant = {}});
    return append(graph, ops::kMseLoss, {answer, target}, {}, {.name = "loss"});
  }
  if (shape.rank() != 2)
    return invalid_input(fmt::format(
        "cross-entropy needs logits [batch, classes], the model gives {}",
        shape.to_string()));
  const ValueId labels = graph.add_input(
      "labels", {.dtype = DType::kS32, .shape = {shape[0]}, .quant = {}});
  return append(graph, ops::kSoftmaxCrossEntropy, {answer, labels}, {},
                {.name = "loss"});
}

// Whether the answer has more rows than the batch has samples.
bool answers_every_token(const Graph& graph, ValueId answer) {
  return takes_tokens(graph) && graph.value(answer).type.shape[0] >
                                    graph.value(graph.inputs[0]).type.shape[0];
}

std::vector<ValueId> params_of(const AdaptedGraph& adapted,
                               const std::vector<LearnedSteps>& learned) {
  std::vector<ValueId> params;
  for (const AdapterTensor& t : adapted.tensors)
    if (t.trainable) params.push_back(t.param);
  for (const LearnedSteps& steps : learned)
    for (const ValueId id : {steps.log_ratio, steps.shift})
      if (id != kNone) params.push_back(id);
  return params;
}

// What the methods make of the base, with the last adapter's values as stored.
struct Adapted {
  Graph graph;
  AdaptedGraph adapted;
  std::vector<LearnedSteps> learned;
};

// What a step without floats can round to: integers with steps of powers of
// two.
Status check_integer_storage(const AdapterStorage& storage) {
  if (storage.is_f32()) return ok_status();
  const Quantizer& q = storage.quantizer;
  if (!q.is_integer())
    return usage_error(fmt::format(
        "--precision integer trains adapters stored as f32 or as integers "
        "(--adapter-dtype int2 to int8 or int16), not as {}",
        q.dtype_name()));
  if (q.symmetric && !storage.learn_steps) return ok_status();
  return usage_error(
      "--precision integer stores integers with steps of powers of two: leave "
      "out --adapter-asymmetric and --learn-steps");
}

Result<Adapted> adapt(const Graph& base,
                      std::span<const MethodSettings> methods,
                      Precision precision, const AdapterStorage& storage) {
  if (precision == Precision::kInteger)
    FT_TRY_STATUS(check_integer_storage(storage));
  Adapted a{.graph = base.clone(), .adapted = {}, .learned = {}};
  FT_TRY_STATUS(apply_methods(a.graph, methods, a.adapted));
  FT_TRY(a.learned, quantize_adapter(a.graph, a.adapted, storage));
  return a;
}

// Adapters below keep their values; only the last one is trained.
Result<Adapted> adapt_for_training(const Graph& base,
                                   const StepSettings& settings) {
  std::vector<MethodSettings> methods = settings.below;
  methods.push_back(settings.method);
  FT_TRY(Adapted a, adapt(base, methods, settings.precision, settings.storage));
  for (AdapterTensor& t : a.adapted.tensors)
    if (t.adapter < settings.below.size()) t.trainable = false;
  return a;
}

Result<CompiledStep> compile_step(const Graph& base,
                                  const StepSettings& settings,
                                  const ChooseDropped& choose,
                                  bool overwrites) {
  FT_TRY(Adapted a, adapt_for_training(base, settings));
  Graph& graph = a.graph;
  FT_TRY(const ValueId answer, real_answer(graph));
  FT_TRY(ValueId loss, append_loss(graph, settings.loss, answer));
  if (a.adapted.penalty != kNone) {
    FT_TRY(loss, append(graph, ops::kBinary, {loss, a.adapted.penalty},
                        {{"kind", "add"}}, {.name = "loss/penalized"}));
  }
  graph.outputs = {loss};
  if (settings.loss == Loss::kSoftmaxCrossEntropy &&
      !answers_every_token(graph, answer))
    graph.outputs.push_back(answer);
  // Before differentiation: a softmax behind the logits has no part in it.
  remove_dead_nodes(graph);
  const ValueId hyper = add_hyper_input(graph);
  const NodeId first_backward = graph.num_nodes();
  Updates updates(settings.optimizer, a.adapted.ranks, hyper);
  FT_TRY_STATUS(append_backward(graph, loss, params_of(a.adapted, a.learned),
                                [&](Graph& g, ValueId p, ValueId grad) {
                                  return updates.ready(g, p, grad);
                                }));
  FT_TRY_STATUS(updates.finish(graph));
  recompute_dropped(graph, first_backward, choose(graph, first_backward));
  remove_dead_nodes(graph);
  move_updates_early(graph);
  if (settings.precision == Precision::kInteger)
    FT_TRY_STATUS(integerize(graph));
  if (settings.fuse_updates) fuse_updates(graph);
  if (overwrites) {
    fuse_gradient_sums(graph);
    overwrite_gradients(graph);
  }
  FT_TRY(Program program, build_program(std::move(graph), settings.plan));
  return CompiledStep{std::move(program), std::move(a.adapted),
                      std::move(a.learned)};
}

Result<CompiledStep> finish_inference(Adapted a, const PlanOptions& plan,
                                      Precision precision) {
  Graph& graph = a.graph;
  FT_TRY(const ValueId answer, real_answer(graph));
  graph.outputs = {graph.outputs[0], answer};
  remove_dead_nodes(graph);
  if (precision == Precision::kInteger) FT_TRY_STATUS(integerize(graph));
  FT_TRY(Program program, build_program(std::move(graph), plan));
  return CompiledStep{std::move(program), std::move(a.adapted),
                      std::move(a.learned)};
}

// The adapter's integers are parameters, made of the values that `install`
// gives the float ones.
Result<Graph> with_int8_sides(CompiledStep before,
                              const InstallValues& install) {
  FT_TRY_STATUS(install(before));
  Graph graph = std::move(before.program.graph);
  FT_TRY_STATUS(int8_sides(graph));
  return graph;
}

}  // namespace

Result<Precision> parse_precision(std::string_view word) {
  if (word == "f32") return Precision::kF32;
  if (word == "mixed") return Precision::kMixed;
  if (word == "integer") return Precision::kInteger;
  return usage_error(
      fmt::format("no precision '{}'; there are: f32, mixed, integer", word));
}

Result<Recompute> parse_recompute(std::string_view word) {
  if (word == "auto") return Recompute::kIfNeeded;
  if (word == "always") return Recompute::kAlways;
  if (word == "never") return Recompute::kNever;
  if (word == "all") return Recompute::kAll;
  return usage_error(fmt::format(
      "no recompute mode '{}'; there are: auto, always, never, all", word));
}

std::string_view name_of(Precision precision) {
  switch (precision) {
    case Precision::kF32: return "f32";
    case Precision::kMixed: return "mixed";
    case Precision::kInteger: break;
  }
  return "integer";
}

Result<BaseModel> load_base(const std::string& path, Precision precision,
                            int batch, int seq_len) {
  return open_base_model(path, {.dequantize = precision == Precision::kF32,
                                .batch = batch,
                                .seq_len = seq_len});
}

Loss natural_loss(const Graph& base, const MethodSettings& method) {
  return method.num_classes > 0 || find_head(base).softmax != kNone ||
                 takes_tokens(base)
             ? Loss::kSoftmaxCrossEntropy
             : Loss::kMse;
}

Result<CompiledStep> compile_training(const Graph& base,
                                      const StepSettings& given) {
  FT_TRY_STATUS(check_optimizer(given.optimizer));
  StepSettings settings = given;
  if (settings.ram_bytes != SIZE_MAX && settings.recompute_limit == 0)
    settings.plan.enough_bytes = settings.ram_bytes;
  return compile_within_budget(
      settings.recompute, settings.recompute_limit, settings.ram_bytes,
      [&](const ChooseDropped& choose, bool overwrites) {
        return compile_step(base, settings, choose, overwrites);
      });
}

Result<CompiledStep> compile_inference(const Graph& base,
                                       const MethodSettings& settings,
                                       const PlanOptions& plan,
                                       Precision precision,
                                       const AdapterStorage& storage) {
  return compile_inference(base, std::span(&settings, 1), plan, precision,
                           storage);
}

Result<CompiledStep> compile_inference(const Graph& base,
                                       std::span<const MethodSettings> methods,
                                       const PlanOptions& plan,
                                       Precision precision,
                                       const AdapterStorage& storage) {
  FT_TRY(Adapted a, adapt(base, methods, precision, storage));
  return finish_inference(std::move(a), plan, precision);
}

Result<SideArithmetic> parse_side_arithmetic(std::string_view adapter_mode) {
  if (adapter_mode == "side") return SideArithmetic::kAsTrained;
  if (adapter_mode == "int8") return SideArithmetic::kInt8;
  return usage_error(
      fmt::format("no --adapter-mode '{}' of adapters beside the base; there "
                  "are: side, int8",
                  adapter_mode));
}

Result<CompiledStep> compile_int8_inference(
    const Graph& base, std::span<const MethodSettings> methods,
    const PlanOptions& plan, Precision precision,
    const InstallValues& install) {
  FT_TRY(CompiledStep before, before_int8(base, methods, precision));
  FT_TRY(Graph graph, with_int8_sides(std::move(before), install));
  return finish_inference(
      {.graph = std::move(graph), .adapted = {}, .learned = {}}, plan,
      precision);
}

Result<CompiledStep> before_int8(const Graph& base,
                                 std::span<const MethodSettings> methods,
                                 Precision precision) {
  FT_TRY(Adapted a, adapt(base, methods, precision, {}));
  CompiledStep before;
  before.program.graph = std::move(a.graph);
  before.adapted = std::move(a.adapted);
  return before;
}

Status write_int8_values(const CompiledStep& before,
                         const InstallValues& install, const Program& program,
                         std::span<std::byte> region) {
  CompiledStep valued;
  valued.program.graph = before.program.graph.clone();
  valued.adapted = before.adapted;
  FT_TRY(const Graph graph, with_int8_sides(std::move(valued), install));
  std::map<std::string_view, const Value*> params;
  for (ValueId id = 0; id < graph.num_values(); ++id)
    if (graph.value(id).kind == ValueKind::kParam)
      params[graph.value(id).name] = &graph.value(id);
  for (const Binding& b : program.persistent) {
    const auto at = params.find(b.name);
    if (at == params.end() || at->second->data.size() != b.type.num_bytes() ||
        b.ref.offset + b.type.num_bytes() > region.size())
      return internal_error(fmt::format(
          "the adapter in integers has no '{}' of {} bytes, which its program "
          "reads",
          b.name, b.type.num_bytes()));
    std::ranges::copy(at->second->data, region.subspan(b.ref.offset).begin());
  }
  return ok_status();
}

Result<CompiledStep> compile_base(const Graph& base, const PlanOptions& plan) {
  return finish_inference({.graph = base.clone(), .adapted = {}, .learned = {}},
                          plan, Precision::kMixed);
}

}  // namespace ft
