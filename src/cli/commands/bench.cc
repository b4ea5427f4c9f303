// fieldtune bench: time of inference and of a training step on this machine.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/random.h"
#include "cli/commands/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/plan_fields.h"
#include "exec/session.h"
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
  bool profile = false, json = false;

  void add_to(CLI::App& app) {
    app.add_option("model", model,
                   "model file (.tflite, llama2.c .bin) or Hugging Face folder")
        ->required();
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

using Clock = std::chrono::steady_clock;

double micros_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start)
      .count();
}

// Any bytes do for int8; floats must be finite and small.
void fill_inputs(Session& session) {
  const Random random(1, "bench");
  for (size_t i = 0; i < session.program().inputs.size(); ++i) {
    const TensorType& type = session.program().inputs[i].type;
    const auto bytes = session.input(i);
    std::ranges::fill(bytes, std::byte{0});
    if (type.dtype == DType::kF32)
      for (size_t k = 0; float& v : session.input_as<float>(i))
        v = 0.01f * random.normal(k++);
    if (type.dtype == DType::kS8)
      for (size_t k = 0; std::byte & b : bytes)
        b = static_cast<std::byte>(random.bits(k++));
  }
}

struct Timing {
  std::vector<double> micros;
  std::vector<std::vector<double>> by_call;
};

double median(std::vector<double> values) {
  const auto middle =
      values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

Timing time_runs(Session& session, int runs, bool profile) {
  Timing timing;
  timing.by_call.resize(session.program().calls.size());
  for (int i = -runs / 10; i < runs; ++i) {
    fill_inputs(session);
    const auto start = Clock::now();
    if (profile) {
      for (size_t c = 0; c < timing.by_call.size(); ++c) {
        const auto call_start = Clock::now();
        session.run_call(c);
        if (i >= 0) timing.by_call[c].push_back(micros_since(call_start));
      }
    } else {
      session.run();
    }
    if (i >= 0) timing.micros.push_back(micros_since(start));
  }
  return timing;
}

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

Status run(const Options& options) {
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
