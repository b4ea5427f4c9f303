// fieldtune plan: what a training step needs, to the byte, before any data.
#include <fmt/format.h>

#include "base/file.h"
#include "cli/commands/commands.h"
#include "cli/plan_fields.h"
#include "cli/plan_job.h"
#include "cli/plan_regions.h"
#include "cli/report/pictures.h"
#include "cli/report/program_map.h"

namespace ft::cli {
namespace {

struct Options {
  PlanJob job;
  std::string picture, target;
  bool json = false, verbose = false, explain = false, place_regions = false;

  void add_to(CLI::App& app) {
    app.add_option("model", job.model,
                   "model file (.tflite, llama2.c .bin) or Hugging Face folder")
        ->required();
    job.method.add_to(app);
    job.optimizer.add_to(app);
    job.kernels.add_to(app);
    app.add_flag("--explain", explain,
                 "say which tensors make the peak, and what the step would "
                 "need with one option changed: recompute, precision, "
                 "optimizer, adapter-dtype, rank, batch, accumulate");
    app.add_option("--target", target,
                   "plan with the kernels of this device: a name of targets/ "
                   "or a .toml file");
    app.add_flag(
        "--place-regions", place_regions,
        "of --target: which buffer lies in which of its memories, what "
        "is moved most in the fastest");
    app.add_option("--picture", picture,
                   "write the memory map of the step to this .svg file");
    app.add_flag("--verbose,-v", verbose,
                 "list the buffers that are alive at the fullest step");
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Json fields_of(const Options& options, const PlanJob& job,
               const CompiledStep& step) {
  Json result = plan_fields(step.program);
  const auto call = static_cast<size_t>(step.program.fullest_call);
  if (call < step.program.calls.size())
    result["fullest_step"] =
        step.program.graph.node(step.program.calls[call].node).name;
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

Status run(const Options& options) {
  PlanJob job = options.job;
  Target target;
  if (!options.target.empty()) {
    FT_TRY(target, load_target(options.target));
    job.target = &target;
  } else if (options.place_regions) {
    return usage_error("--place-regions needs a --target");
  }
  if (job.method.new_head)
    return usage_error(
        "--new-head needs data to count classes; give --classes N");
  if (!options.picture.empty() && !options.picture.ends_with(".svg"))
    return usage_error(
        fmt::format("--picture {}: must end in .svg", options.picture));
  const Result<CompiledStep> planned = plan_step(job);
  if (!planned.ok() && options.explain &&
      planned.status().code() == Code::kDoesNotFit)
    return explain_what_does_not_fit(options, job, planned.status());
  if (!planned.ok()) return planned.status();
  const CompiledStep& step = planned.value();
  if (!options.picture.empty())
    FT_TRY_STATUS(write_file_atomically(options.picture,
                                        memory_map_file(map_of(step.program))));
  Json result = fields_of(options, job, step);
  if (options.place_regions)
    FT_TRY_STATUS(add_regions(target, step.program, result));
  print_result(result, options.json);
  return ok_status();
}

}  // namespace

void add_plan(CLI::App& app, Action& action) {
  add_command<Options>(
      app, action, "plan",
      "Say how many bytes a training step needs, without any data",
      "fieldtune plan model.tflite --classes 10 --rank 4 --ram 256K --explain",
      run);
}

}  // namespace ft::cli
