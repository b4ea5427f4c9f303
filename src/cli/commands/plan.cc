// fieldtune plan: what a training step needs, to the byte, before any data.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/commands/commands.h"
#include "cli/energy_options.h"
#include "cli/plan_fields.h"
#include "cli/plan_job.h"
#include "cli/plan_regions.h"
#include "cli/plan_report.h"
#include "cli/search_job.h"

namespace ft::cli {
namespace {

struct Options {
  PlanJob job;
  SearchJob search;
  EnergyOptions energy;
  PictureOptions pictures;
  std::string target;
  bool json = false, verbose = false, explain = false, place_regions = false;
  bool costs = false;

  void add_to(CLI::App& app) {
    app.add_option("model", job.model,
                   "model file (.tflite, llama2.c .bin) or Hugging Face folder")
        ->required();
    job.method.add_to(app);
    job.optimizer.add_to(app);
    job.kernels.add_to(app);
    app.add_flag("--explain", explain,
                 "say which tensors make the peak, and what the step would "
                 "need with one option changed: recompute, "
                 "recompute-limit, keep-order, in-place, patches, precision, "
                 "optimizer, adapter-dtype, rank, batch, accumulate");
    app.add_flag("--feature-cache", job.on_features,
                 "of training on what the frozen layers in front answered once "
                 "(train --feature-cache)");
    app.add_option("--target", target,
                   "plan with the kernels of this device, and what a step and "
                   "inference cost there: instructions, time, energy (" +
                       fmt::format("{}", fmt::join(target_names(), ", ")) +
                       ", host after 'fieldtune bench --calibrate', or a .toml "
                       "file)");
    app.add_flag("--costs", costs,
                 "of --target: by class of op and by call too");
    app.add_flag(
        "--place-regions", place_regions,
        "of --target: which buffer lies in which of its memories, what "
        "is moved most in the fastest");
    pictures.add_to(app);
    app.add_flag("--verbose,-v", verbose,
                 "list the buffers that are alive at the fullest step");
    app.add_flag("--json", json, "one JSON object on stdout");
    energy.add_to(app);
    search.add_to(app, {"--ram", "--new-head", "--loss", "--seq-len",
                        "--epochs", "--target", "--json", "--energy-mj-per-day",
                        "--picture", "--picture-of", "--report"});
  }
};

Json fields_of(const Options& options, const PlanJob& job,
               const CompiledStep& step) {
  Json result = plan_fields(step.program);
  const auto call = static_cast<size_t>(step.program.fullest_call);
  if (call < step.program.calls.size())
    result["fullest_step"] =
        step.program.graph.node(step.program.calls[call].node).name;
  if (options.job.on_features) {
    const Binding& feature = step.program.inputs[0];
    result["features"] = {
        {"layer", feature.name},
        {"bytes", feature.type.num_bytes() /
                      static_cast<size_t>(options.job.method.batch)}};
  }
  if (options.verbose || options.explain)
    result["buffers_at_peak"] = tensors_at_peak(step.program);
  if (options.explain) result["knobs"] = explain_knobs(job, step);
  return result;
}

// An explanation is wanted most where the step does not fit: then it is of the
// step without a budget, and the command still fails.
Status explain_what_does_not_fit(const Options& options, const PlanJob& given,
                                 Status why) {
  PlanJob job = given;
  job.method.ram.clear();
  FT_TRY(const CompiledStep step, plan_step(job));
  print_result(fields_of(options, given, step), options.json);
  return why;
}

Status search(const Options& options) {
  SearchJob job = options.search;
  job.model = options.job.model;
  job.target = options.target;
  job.new_head = options.job.method.new_head;
  job.ram = options.job.method.ram;
  job.loss = options.job.method.loss;
  job.seq_len = options.job.method.seq_len;
  job.epochs = options.job.optimizer.epochs;
  job.energy_mj_per_day = options.energy.mj_per_day;
  FT_TRY(const SearchOutcome found, run_search_job(job));
  if (options.pictures.given())
    FT_TRY_STATUS(options.pictures.write(found.report));
  print_result(found.fields, options.json);
  return ok_status();
}

Status run(const Options& options) {
  FT_TRY_STATUS(
      options.pictures.check(options.search.search, !options.target.empty()));
  if (options.search.search) return search(options);
  PlanJob job = options.job;
  Target target;
  if (!options.target.empty()) {
    FT_TRY(target, load_target(options.target));
    job.target = &target;
  } else if (options.place_regions || options.costs || options.energy.given()) {
    return usage_error(fmt::format("{} needs a --target",
                                   options.costs           ? "--costs"
                                   : options.place_regions ? "--place-regions"
                                   : options.energy.mj_per_day > 0
                                       ? "--energy-mj-per-day"
                                       : "--train-samples"));
  }
  if (job.method.new_head)
    return usage_error(
        "--new-head needs data to count classes; give --classes N");
  const Result<CompiledStep> planned = plan_step(job);
  if (!planned.ok() && options.explain &&
      planned.status().code() == Code::kDoesNotFit)
    return explain_what_does_not_fit(options, job, planned.status());
  if (!planned.ok()) return planned.status();
  const CompiledStep& step = planned.value();
  FT_TRY_STATUS(job.kernels.layout.check({&step.program}));
  if (options.pictures.given()) {
    FT_TRY(const ReportData data,
           plan_report(job.model, step.program, job.target));
    FT_TRY_STATUS(options.pictures.write(data));
  }
  Json result = fields_of(options, job, step);
  if (options.place_regions)
    FT_TRY_STATUS(add_regions(target, step.program, result));
  if (!options.target.empty()) {
    Status priced = add_target_costs(job, step, options.costs, result);
    if (!priced.ok() && (options.costs || options.energy.given()))
      return priced;
    if (!priced.ok()) result["no_costs"] = priced.message();
    if (options.energy.given())
      FT_TRY_STATUS(add_energy(options.energy, target, job.method.batch,
                               job.optimizer.settings.accumulate,
                               job.optimizer.epochs, result));
  }
  print_result(result, options.json);
  return ok_status();
}

}  // namespace

void add_plan(CLI::App& app, Action& action) {
  add_command<Options>(
      app, action, "plan",
      "Say what a training step needs and costs, and what to train in a budget",
      "fieldtune plan model.tflite --classes 10 --rank 4 --ram 256K --explain\n"
      "  fieldtune plan model.tflite --precision integer --target cortex-m4 "
      "--costs\n"
      "  fieldtune plan model.tflite --data recordings --front-end mlperf-kws "
      "--new-head --search --target cortex-m4 --ram 96K --out plan.toml",
      run);
}

}  // namespace ft::cli
