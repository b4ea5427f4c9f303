// fieldtune bench: time of inference and of a training step on this machine.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "cli/calibrate.h"
#include "cli/commands/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/plan_fields.h"
#include "cli/timing.h"
#include "exec/session.h"
#include "plan/target.h"
#include "train/adapted_model.h"

namespace ft::cli {
namespace {

struct Options {
  std::string model;
  AdapterOptions adapters;
  bool train = false;
  MethodOptions method;
  OptimizerOptions optimizer;
  KernelOptions kernels;
  int runs = 200;
  bool profile = false, json = false, calibrate = false;

  void add_to(CLI::App& app) {
    app.add_option(
        "model", model,
        "model file (.tflite, llama2.c .bin) or Hugging Face folder");
    app.add_flag("--calibrate", calibrate,
                 "measure this machine instead, about a minute: it becomes the "
                 "target 'host' of plan, in the user's cache folder");
    adapters.add_to(app);
    app.add_flag("--train", train, "time a training step instead of inference");
    app.add_option("--runs", runs, "timed runs, after a tenth as warm-up")
        ->capture_default_str()
        ->check(CLI::Range(1, 1000000));
    app.add_flag("--profile", profile, "time of each kernel call too");
    method.add_to(app);
    optimizer.add_to(app);
    kernels.add_to(app);
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Json profile_rows(const Program& program, const Timing& timing) {
  Json rows = Json::array();
  for (size_t c = 0; c < program.calls.size(); ++c) {
    const KernelCall& call = program.calls[c];
    rows.push_back({{"node", program.graph.node(call.node).name},
                    {"kernel", call.kernel->symbol},
                    {"scratch_bytes", call.scratch_bytes},
                    {"call_us", median(timing.by_call[c])}});
  }
  return rows;
}

Result<CompiledStep> compile(const Options& options) {
  if (!options.train) {
    FT_TRY(const auto choices, options.adapters.choices());
    FT_TRY(AdaptedModel model,
           load_adapted_model(options.model, choices, options.kernels.plan(),
                              options.method.seq_len));
    return std::move(model.step);
  }
  FT_TRY(const Precision precision, parse_precision(options.method.precision));
  FT_TRY(const MethodSettings method, options.method.settings(0, 0));
  FT_TRY(const BaseModel base,
         load_base(options.model, precision, options.method.batch,
                   options.method.seq_len));
  FT_TRY(const StepSettings settings,
         options.method.step(base.graph, method, options.optimizer.settings,
                             options.kernels.plan()));
  return compile_training(base.graph, settings);
}

Status calibrate(const Options& options) {
  if (!options.model.empty())
    return usage_error("--calibrate measures the machine, not a model");
  const std::string path = host_target_path();
  if (path.empty())
    return usage_error(
        "--calibrate: neither XDG_CACHE_HOME nor HOME says where to keep what "
        "it measures");
  FT_TRY(const Calibration measured, calibrate_host(options.json));
  FT_TRY_STATUS(parse_target(measured.toml, path).status());
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(),
                                      error);
  FT_TRY_STATUS(write_file_atomically(path, measured.toml));
  print_result({{"target", path},
                {"programs", measured.programs},
                {"fitted_rows", measured.kernels},
                {"read_gb_per_s", measured.gb_per_s}},
               options.json);
  return ok_status();
}

Status run(const Options& options) {
  if (options.calibrate) return calibrate(options);
  if (options.model.empty()) return usage_error("give a model, or --calibrate");
  FT_TRY(const CompiledStep step, compile(options));
  FT_TRY(Session session, Session::create(step.program));
  const Timing timing = time_runs(session, options.runs, options.profile);
  Json result = plan_fields(step.program);
  const double us = median(timing.micros);
  result[options.train ? "step_us" : "infer_us"] = us;
  result["min_us"] = *std::ranges::min_element(timing.micros);
  result["max_us"] = *std::ranges::max_element(timing.micros);
  result["gmacs_per_s"] = static_cast<double>(step.program.macs) / us / 1e3;
  if (options.profile) result["calls"] = profile_rows(step.program, timing);
  print_result(result, options.json);
  return ok_status();
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  add_command<Options>(
      app, action, "bench", "Time inference or a training step on this machine",
      "fieldtune bench model.tflite --train --rank 4 --profile", run);
}

}  // namespace ft::cli
