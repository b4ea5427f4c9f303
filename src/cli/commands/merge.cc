// fieldtune merge: one model file with the adapter folded in.
#include "cli/commands/commands.h"
#include "cli/merge_job.h"

namespace ft::cli {
namespace {

struct Options {
  MergeJob job;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option(
           "model", job.model,
           "the adapter's base model (.tflite, or a Hugging Face folder)")
        ->required();
    job.adapters.add_to(app);
    app.add_option("--out,-o", job.out,
                   "model file (.tflite) or folder to write")
        ->required();
    job.data.add_source_to(app);
    job.kernels.add_to(app);
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Status run(const Options& options) {
  FT_TRY(const MergeOutcome outcome, run_merge_job(options.job));
  print_result(outcome.fields, options.json);
  return ok_status();
}

}  // namespace

void add_merge(CLI::App& app, Action& action) {
  add_command<Options>(
      app, action, "merge",
      "Fold an adapter into its base and write one model file",
      "fieldtune merge kws.tflite --adapter me.safetensors --out me.tflite",
      run);
}

}  // namespace ft::cli
