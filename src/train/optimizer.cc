#include "train/optimizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "kernels/adamw8bit_update/adamw8bit_update.h"
#include "ops/all_ops.h"
#include "ops/append.h"
#include "ops/bfp_common.h"

namespace ft {
namespace {

ValueId add_state(Graph& graph, ValueId param, const char* what) {
  const Value& p = graph.value(param);
  Value state{
      .name = p.name + "/" + what, .type = p.type, .kind = ValueKind::kState};
  return graph.add_value(std::move(state));
}

// Moments as codes, and their absmax for every block of 256 values.
Status append_adamw8bit(Graph& graph, Attrs attrs, ValueId hyper, ValueId param,
                        ValueId grad) {
  const Value p = graph.value(param);
  const auto state = [&](const char* what, DType dtype, Shape shape) {
    return graph.add_value(
        {.name = p.name + "/" + what,
         .type = {.dtype = dtype, .shape = shape, .quant = {}},
         .kind = ValueKind::kState});
  };
  const Shape& shape = p.type.shape;
  const Shape blocks = {
      ft_8bit_blocks(static_cast<int32_t>(shape.num_elements()))};
  const ValueId m = state("m_8bit", DType::kU8, shape);
  const ValueId v = state("v_8bit", DType::kU8, shape);
  const ValueId m_absmax = state("m_absmax", DType::kF32, blocks);
  const ValueId v_absmax = state("v_absmax", DType::kF32, blocks);
  return append_node(graph, ops::kAdamw8bitUpdate,
                     {param, grad, m, v, m_absmax, v_absmax, hyper},
                     std::move(attrs), {.name = "update/" + p.name})
      .status();
}

Status in_range(const char* name, double value, double low, double high) {
  if (value >= low && value <= high) return ok_status();
  return usage_error(fmt::format("{} is {}; it must lie between {} and {}",
                                 name, value, low, high));
}

Status known_word(const char* what, const std::string& word,
                  std::initializer_list<std::string_view> words) {
  if (std::ranges::find(words, word) != words.end()) return ok_status();
  return usage_error(fmt::format("no {} '{}'; there are: {}", what, word,
                                 fmt::join(words, ", ")));
}

Status check_combination(const OptimizerSettings& s) {
  if (s.nesterov && (s.optimizer != "sgd" || s.momentum == 0))
    return usage_error(
        "Nesterov's step (--nesterov) needs --optimizer sgd with a momentum "
        "above 0");
  if (s.accumulate < 1 || s.accumulate > 65536)
    return usage_error(fmt::format(
        "--accumulate {}: must lie between 1 and 65536 runs", s.accumulate));
  if (!(s.update_fraction > 0 && s.update_fraction <= 1))
    return usage_error(
        fmt::format("--update-fraction {}: must lie above 0 and up to 1",
                    s.update_fraction));
  if (s.update_fraction < 1 && s.optimizer == "adamw8bit")
    return usage_error(
        "--update-fraction needs moments that can stay as they are: those of "
        "adamw8bit are rounded anew with their block, so take --optimizer "
        "adamw or sgd");
  if (s.min_8bit_size < 1)
    return usage_error(
        fmt::format("--min-8bit-size {}: must be at least 1", s.min_8bit_size));
  if (s.warmup_steps < 0)
    return usage_error(
        fmt::format("--warmup {}: must be at least 0", s.warmup_steps));
  return ok_status();
}

}  // namespace

Status check_optimizer(const OptimizerSettings& s) {
  FT_TRY_STATUS(
      known_word("optimizer", s.optimizer, {"adamw", "adamw8bit", "sgd"}));
  FT_TRY_STATUS(
      known_word("schedule", s.schedule, {"cosine", "linear", "constant"}));
  FT_TRY_STATUS(in_range("learning rate", s.lr, 0, 1e3));
  FT_TRY_STATUS(in_range("momentum", s.momentum, 0, 0.9999));
  FT_TRY_STATUS(in_range("beta1", s.beta1, 0, 0.999999));
  FT_TRY_STATUS(in_range("beta2", s.beta2, 0, 0.999999));
  FT_TRY_STATUS(in_range("eps", s.eps, 0, 1));
  FT_TRY_STATUS(in_range("weight decay", s.weight_decay, 0, 10));
  FT_TRY_STATUS(in_range("--max-grad-norm", s.max_grad_norm, 0, 1e30));
  FT_TRY_STATUS(in_range("--clip-value", s.clip_value, 0, 1e30));
  FT_TRY_STATUS(in_range("--clip-per-sample", s.clip_per_sample, 0, 1e30));
  return check_combination(s);
}

ValueId add_hyper_input(Graph& graph) {
  return graph.add_input("hyper",
                         {.dtype = DType::kF32, .shape = {4}, .quant = {}});
}

Status append_update(Graph& graph, const OptimizerSettings& s, ValueId hyper,
                     const ParamGradient& g) {
  const auto [param, grad, positions] = g;
  const std::string name = "update/" + graph.value(param).name;
  if (s.optimizer == "sgd") {
    const ValueId momentum =
        s.momentum > 0 ? add_state(graph, param, "momentum") : kNone;
    return append_node(graph, ops::kSgdUpdate,
                       {param, grad, hyper, momentum, positions},
                       {{"momentum", s.momentum},
                        {"weight_decay", s.weight_decay},
                        {"nesterov", s.nesterov ? 1 : 0}},
                       {.name = name})
        .status();
  }
  Attrs attrs = {{"beta1", s.beta1},
                 {"beta2", s.beta2},
                 {"eps", s.eps},
                 {"weight_decay", s.weight_decay}};
  const int64_t count = graph.value(param).type.shape.num_elements();
  if (s.optimizer == "adamw8bit" && count >= s.min_8bit_size)
    return append_adamw8bit(graph, std::move(attrs), hyper, param, grad);
  const ValueId m = add_state(graph, param, "m");
  const ValueId v = add_state(graph, param, "v");
  return append_node(graph, ops::kAdamwUpdate,
                     {param, grad, m, v, hyper, positions}, std::move(attrs),
                     {.name = name})
      .status();
}

ft_schedule schedule_of(const OptimizerSettings& s, int64_t total_steps) {
  const ops::FixedFactor lr = ops::fixed_factor(s.lr);
  // SGD reads no corrections: those of 0 cost nothing.
  const auto in_units = [&](double beta) {
    return s.optimizer == "sgd" ? 0
                                : static_cast<uint64_t>(std::ldexp(beta, 63));
  };
  const int kind = s.schedule == "constant" ? FT_SCHEDULE_CONSTANT
                   : s.schedule == "linear" ? FT_SCHEDULE_LINEAR
                                            : FT_SCHEDULE_COSINE;
  return {.lr_mantissa = lr.multiplier,
          .lr_exponent = lr.exponent,
          .kind = kind,
          .beta1 = in_units(s.beta1),
          .beta2 = in_units(s.beta2),
          .warmup = s.warmup_steps,
          .total_updates = total_steps / s.accumulate,
          .accumulate = s.accumulate};
}

std::array<float, 4> hyper_values(const OptimizerSettings& s, int64_t step,
                                  int64_t total_steps) {
  const ft_schedule schedule = schedule_of(s, total_steps);
  std::array<float, 4> hyper{};
  ft_schedule_f32(&schedule, step, hyper.data());
  return hyper;
}

OptimizerSettings plain_sgd(double lr) {
  OptimizerSettings sgd;
  sgd.optimizer = "sgd";
  sgd.lr = lr;
  sgd.momentum = 0;
  sgd.schedule = "constant";
  return sgd;
}

std::vector<std::pair<std::string, std::string>> describe(
    const OptimizerSettings& s) {
  const auto number = [](auto value) { return fmt::format("{}", value); };
  return {{"optimizer", s.optimizer},
          {"lr", number(s.lr)},
          {"momentum", number(s.momentum)},
          {"nesterov", number(s.nesterov)},
          {"beta1", number(s.beta1)},
          {"beta2", number(s.beta2)},
          {"eps", number(s.eps)},
          {"weight_decay", number(s.weight_decay)},
          {"min_8bit_size", number(s.min_8bit_size)},
          {"schedule", s.schedule},
          {"warmup", number(s.warmup_steps)},
          {"accumulate", number(s.accumulate)},
          {"update_fraction", number(s.update_fraction)},
          {"max_grad_norm", number(s.max_grad_norm)},
          {"clip_value", number(s.clip_value)},
          {"clip_per_sample", number(s.clip_per_sample)}};
}

std::array<int32_t, 12> integer_hyper_values(const OptimizerSettings& s,
                                             int64_t step, int64_t total_steps,
                                             uint64_t seed) {
  const ft_schedule schedule = schedule_of(s, total_steps);
  std::array<int32_t, 12> hyper{};
  ft_schedule_s32(&schedule, step, seed, hyper.data());
  return hyper;
}

}  // namespace ft
