#include "cli/compile_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "adapters/signing_key.h"
#include "codegen/size_report.h"
#include "data/front_end.h"
#include "passes/dead_code.h"
#include "plan/cost.h"
#include "train/adapted_model.h"
#include "train/feature_cache.h"

namespace ft::cli {
namespace {

Result<codegen::StoreSettings> store_of(const CompileOptions& options,
                                        const Target& target,
                                        const Program& infer) {
  codegen::StoreSettings store{.adapters = options.flash_adapters,
                               .plan_hash = plan_hash(infer),
                               .flash = target.flash};
  if (store.adapters > 0 && infer.persistent_bytes == 0)
    return usage_error(
        "--flash: this inference reads no adapter; give one with --adapter");
  if (store.adapters > 0 && !target.name.empty() &&
      target.flash.page_bytes == 0)
    return usage_error(fmt::format(
        "--flash: {} has no table [flash] with page_bytes and program_bytes",
        options.target));
  if (options.public_key.empty()) return store;
  FT_TRY(store.public_key, load_public_key(options.public_key));
  return store;
}

// The front end that was asked for or else `recorded` in the adapter, in the
// arithmetic that suits the device. None where inputs are taken as they are.
Result<std::optional<codegen::AudioFrontEnd>> chosen_front_end(
    const CompileOptions& options, const Target& target,
    const std::string& recorded) {
  std::optional<codegen::AudioFrontEnd> out;
  if (options.front_end.empty() && recorded.empty()) return out;
  FrontEnd front_end;
  if (options.front_end.empty()) {
    FT_TRY(front_end,
           front_end_from_toml(recorded, "front end of the adapter"));
  } else {
    FT_TRY(front_end, load_front_end(options.front_end));
  }
  if (front_end.kind != FrontEnd::Kind::kMfcc) {
    const bool as_it_is = front_end.kind == FrontEnd::Kind::kArray &&
                          front_end.scale == 1 && front_end.offset == 0;
    if (options.front_end.empty() || as_it_is) return out;
    return usage_error(
        fmt::format("--front-end {}: only those of kind \"mfcc\" are printed",
                    options.front_end));
  }
  const bool no_fpu = !target.name.empty() && !target.has_fpu;
  const bool fixed = options.arithmetic == "fixed" ||
                     (options.arithmetic == "auto" &&
                      (no_fpu || options.method.precision == "integer"));
  out = {.config = front_end.mfcc, .fixed_point = fixed};
  return out;
}

// Of --init-adapter.
Result<std::optional<LoadedAdapter>> start_adapter(
    const CompileOptions& options, const BaseModel& base) {
  if (options.init_adapter.empty()) return std::optional<LoadedAdapter>();
  FT_TRY(LoadRules rules, options.adapters.policy.rules());
  FT_TRY(LoadedAdapter start,
         open_adapter({.path = options.init_adapter, .rules = rules}));
  FT_TRY_STATUS(fit_to_base(base, start));
  return std::optional(std::move(start));
}

Result<DevicePrograms> compile_both(const CompileOptions& options,
                                    const Target& target, size_t ram_bytes) {
  const PlanOptions plan = options.plan_for(target);
  DevicePrograms out;
  FT_TRY(const Precision precision, parse_precision(options.method.precision));
  out.integer = precision == Precision::kInteger;
  FT_TRY(BaseModel base,
         load_base(options.model, precision, options.method.batch,
                   options.method.seq_len));
  out.base_sha256 = base.sha256;
  FT_TRY(const auto start, start_adapter(options, base));
  FT_TRY(MethodSettings method,
         options.method.settings(0, options.seed,
                                 start ? &start->method : nullptr));
  fill_total_updates(method, options.steps);
  FT_TRY_STATUS(read_init_text(base, method));
  FT_TRY(StepSettings settings,
         options.method.step(base.graph, method, options.optimizer.settings,
                             plan));
  settings.ram_bytes = ram_bytes;
  FT_TRY(BaseModel single,
         load_base(options.model, precision, 1, options.method.seq_len));
  FT_TRY(out.infer, compile_inference(single.graph, settings.method, plan,
                                      precision, settings.storage));
  if (options.on_features) {
    const std::span methods(&settings.method, 1);
    FT_TRY_STATUS(take_frozen_trunk(base, methods).status());
    FT_TRY(Graph trunk, take_frozen_trunk(single, methods));
    FT_TRY(out.features, build_program(std::move(trunk), plan));
  }
  FT_TRY(out.train, compile_training(base.graph, settings));
  if (!start) return out;
  FT_TRY_STATUS(install_adapter(start->adapter, out.train));
  FT_TRY_STATUS(install_adapter(start->adapter, out.infer));
  out.front_end = start->adapter.get("front_end");
  return out;
}

}  // namespace

// Inference that computes the model's own output only.
Result<Program> with_model_output(const Program& infer,
                                  const PlanOptions& plan) {
  Graph graph = infer.graph.clone();
  graph.outputs.resize(1);
  remove_dead_nodes(graph);
  return build_program(std::move(graph), plan);
}

Result<codegen::DeviceModel> device_model_of(const CompileOptions& options,
                                             const Target& target,
                                             const std::string& front_end,
                                             codegen::DeviceModel model) {
  model.title = fmt::format(
      "{} {}", std::filesystem::path(options.model).filename().string(),
      model.title);
  if (!target.name.empty()) model.title += " for " + target.name;
  model.target = target;
  FT_TRY(model.store, store_of(options, target, *model.infer));
  FT_TRY(model.front_end, chosen_front_end(options, target, front_end));
  return model;
}

Result<codegen::DeviceModel> device_model_of(const CompileOptions& options,
                                             const Target& target,
                                             const DevicePrograms& both) {
  return device_model_of(
      options, target, both.front_end,
      {.infer = &both.infer.program,
       .train = &both.train.program,
       .features = both.features ? &*both.features : nullptr,
       .schedule = schedule_of(options.optimizer.settings, options.steps),
       .seed = options.seed,
       .integer = both.integer,
       .sliced = options.sliced,
       .slice = options.slice,
       .steps_per_day = options.steps_per_day,
       .title = fmt::format("with {} in {}", options.method.method,
                            options.method.precision),
       .base_sha256 = both.base_sha256});
}

// What inference, slices and the stack need on top is known once a step is
// planned.
Result<DevicePrograms> compile_training_for(const CompileOptions& options,
                                            const Target& target) {
  FT_TRY(const size_t budget, options.method.ram_bytes());
  const uint64_t has = target.memory_bytes("ram");
  const size_t limit = has > 0 ? std::min<size_t>(budget, has) : budget;
  FT_TRY(DevicePrograms both, compile_both(options, target, SIZE_MAX));
  for (int rounds = 3;; --rounds) {
    FT_TRY(const codegen::DeviceModel model,
           device_model_of(options, target, both));
    FT_TRY(const codegen::DeviceSizes sizes, codegen::sizes_of(model));
    const size_t on_top = sizes.ram_bytes() - both.train.program.ram_bytes();
    if (sizes.ram_bytes() <= limit) return both;
    if (on_top < limit && rounds > 0) {
      auto tighter = compile_both(options, target, limit - on_top);
      if (tighter.ok()) {
        both = std::move(*tighter);
        continue;
      }
      if (tighter.status().code() != Code::kDoesNotFit) return tighter;
      if (sizes.ram_bytes() > budget)
        return does_not_fit(fmt::format(
            "--ram: {}, and inference, slices and the stack {} bytes on top of "
            "it",
            tighter.status().message(), on_top));
    }
    if (sizes.ram_bytes() <= budget) return both;  // the printer has a table
    return does_not_fit(fmt::format(
        "--ram {}: inference, slices and the stack alone need {} bytes", budget,
        on_top));
  }
}

}  // namespace ft::cli
