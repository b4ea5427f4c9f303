// fieldtune plan: what a training step needs, to the byte, before any data.
#include <fmt/format.h>

#include <algorithm>

#include "cli/commands/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/plan_fields.h"

namespace ft::cli {
namespace {

struct Options {
  std::string model;
  MethodOptions method;
  OptimizerOptions optimizer;
  KernelOptions kernels;
  bool json = false, verbose = false;

  void add_to(CLI::App& app) {
    app.add_option("model", model,
                   "model file (.tflite, llama2.c .bin) or Hugging Face folder")
        ->required();
    method.add_to(app);
    optimizer.add_to(app);
    kernels.add_to(app);
    app.add_flag("--verbose,-v", verbose,
                 "list the buffers that are alive at the fullest step");
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Json buffers_at_peak(const Program& program) {
  Json list = Json::array();
  for (const ArenaBuffer* b : fullest_buffers(program))
    list.push_back({{"name", b->name},
                    {"buffer_bytes", b->lifetime.bytes},
                    {"offset_bytes", b->offset}});
  return list;
}

Status run(const Options& options) {
  if (options.method.new_head)
    return usage_error(
        "--new-head needs data to count classes; give --classes N");
  FT_TRY(const Precision precision, parse_precision(options.method.precision));
  FT_TRY(MethodSettings method, options.method.settings(0, 0));
  FT_TRY(const BaseModel base,
         load_base(options.model, precision, options.method.batch,
                   options.method.seq_len));
  FT_TRY_STATUS(read_init_text(base, method));
  FT_TRY(const StepSettings settings,
         options.method.step(base.graph, method, options.optimizer.settings,
                             options.kernels.plan()));
  FT_TRY(const CompiledStep step, compile_training(base.graph, settings));
  Json result = plan_fields(step.program);
  const auto call = static_cast<size_t>(step.program.fullest_call);
  if (call < step.program.calls.size())
    result["fullest_step"] =
        step.program.graph.node(step.program.calls[call].node).name;
  if (options.verbose)
    result["buffers_at_peak"] = buffers_at_peak(step.program);
  print_result(result, options.json);
  return ok_status();
}

}  // namespace

void add_plan(CLI::App& app, Action& action) {
  add_command<Options>(
      app, action, "plan",
      "Say how many bytes a training step needs, without any data",
      "fieldtune plan model.tflite --classes 10 --rank 4 --ram 256K", run);
}

}  // namespace ft::cli
