#include "train/optimizer.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

ValueId add_state(Graph& graph, ValueId param, const char* what) {
  const Value& p = graph.value(param);
  Value state{
      .name = p.name + "/" + what, .type = p.type, .kind = ValueKind::kState};
  return graph.add_value(std::move(state));
}

Status in_range(const char* name, double value, double low, double high) {
  if (value >= low && value <= high) return ok_status();
  return usage_error(fmt::format("{} is {}; it must lie between {} and {}",
                                 name, value, low, high));
}

double schedule_factor(const OptimizerSettings& s, int64_t step,
                       int64_t total_steps) {
  if (step < s.warmup_steps)
    return static_cast<double>(step + 1) / static_cast<double>(s.warmup_steps);
  if (s.schedule == "constant") return 1;
  const double progress =
      static_cast<double>(step - s.warmup_steps) /
      static_cast<double>(std::max<int64_t>(total_steps - s.warmup_steps, 1));
  return 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

}  // namespace

Status check_optimizer(const OptimizerSettings& s) {
  if (s.optimizer != "adamw" && s.optimizer != "sgd")
    return usage_error(
        fmt::format("no optimizer '{}'; there are: adamw, sgd", s.optimizer));
  if (s.schedule != "cosine" && s.schedule != "constant")
    return usage_error(fmt::format(
        "no schedule '{}'; there are: cosine, constant", s.schedule));
  FT_TRY_STATUS(in_range("learning rate", s.lr, 0, 1e3));
  FT_TRY_STATUS(in_range("momentum", s.momentum, 0, 0.9999));
  FT_TRY_STATUS(in_range("beta1", s.beta1, 0, 0.999999));
  FT_TRY_STATUS(in_range("beta2", s.beta2, 0, 0.999999));
  FT_TRY_STATUS(in_range("eps", s.eps, 0, 1));
  FT_TRY_STATUS(in_range("weight decay", s.weight_decay, 0, 10));
  return ok_status();
}

ValueId add_hyper_input(Graph& graph) {
  return graph.add_input("hyper",
                         {.dtype = DType::kF32, .shape = {4}, .quant = {}});
}

Status append_update(Graph& graph, const OptimizerSettings& s, ValueId hyper,
                     ValueId param, ValueId grad) {
  const std::string name = "update/" + graph.value(param).name;
  if (s.optimizer == "sgd") {
    std::vector<ValueId> inputs = {param, grad, hyper};
    if (s.momentum > 0) inputs.push_back(add_state(graph, param, "momentum"));
    return append_node(
               graph, ops::kSgdUpdate, std::move(inputs),
               {{"momentum", s.momentum}, {"weight_decay", s.weight_decay}},
               {.name = name})
        .status();
  }
  const ValueId m = add_state(graph, param, "m");
  const ValueId v = add_state(graph, param, "v");
  return append_node(graph, ops::kAdamwUpdate, {param, grad, m, v, hyper},
                     {{"beta1", s.beta1},
                      {"beta2", s.beta2},
                      {"eps", s.eps},
                      {"weight_decay", s.weight_decay}},
                     {.name = name})
      .status();
}

std::array<float, 4> hyper_values(const OptimizerSettings& s, int64_t step,
                                  int64_t total_steps) {
  const auto t = static_cast<double>(step + 1);
  return {static_cast<float>(s.lr * schedule_factor(s, step, total_steps)),
          static_cast<float>(1 / (1 - std::pow(s.beta1, t))),
          static_cast<float>(1 / (1 - std::pow(s.beta2, t))), 0.0f};
}

}  // namespace ft
