// fieldtune eval: accuracy or error of a model, with or without an adapter.
#include "cli/commands/commands.h"
#include "cli/evaluate_job.h"
#include "cli/options.h"
#include "cli/output.h"
#include "train/adapted_model.h"

namespace ft::cli {
namespace {

struct Options {
  std::string model;
  AdapterOptions adapters;
  DataFlags data;
  int seq_len = 0;
  KernelOptions kernels;
  std::string adapter_mode = "side";
  bool confusion = false, json = false;

  void add_to(CLI::App& app) {
    app.add_option("model", model,
                   "model file (.tflite, llama2.c .bin) or Hugging Face folder")
        ->required();
    adapters.add_to(app);
    data.add_source_to(app);
    add_seq_len(app, seq_len);
    kernels.add_to(app);
    app.add_option("--adapter-mode", adapter_mode,
                   "side: as it was trained; int8: in integers of its own, as "
                   "'compile --adapter-mode int8' prints it")
        ->check(CLI::IsMember({"side", "int8"}))
        ->capture_default_str();
    app.add_flag("--confusion", confusion, "print the confusion matrix too");
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Status run(const Options& options) {
  FT_TRY(const auto choices, options.adapters.choices());
  FT_TRY(const SideArithmetic sides,
         parse_side_arithmetic(options.adapter_mode));
  if (choices.empty() && sides == SideArithmetic::kInt8)
    return usage_error("--adapter-mode int8 needs an --adapter");
  FT_TRY(const AdaptedModel model,
         load_adapted_model(options.model, choices, options.kernels.plan(),
                            options.seq_len, sides));
  const Metadata metadata = model.metadata();
  const TextReader reader(model.base);
  FT_TRY(const EvaluationData data,
         load_evaluation_data(options.data, metadata, &reader));
  FT_TRY(const Evaluation e,
         evaluate_program(model.step.program, data, options.data.threads));
  Json result = evaluation_fields(e, data, "");
  if (options.confusion) {
    result["classes"] = data.data->set.classes;
    result["confusion"] = e.confusion;
  }
  print_result(result, options.json);
  return ok_status();
}

}  // namespace

void add_eval(CLI::App& app, Action& action) {
  add_command<Options>(
      app, action, "eval", "Measure accuracy or error on data",
      "fieldtune eval kws.tflite --adapter me.safetensors --data recordings",
      run);
}

}  // namespace ft::cli
