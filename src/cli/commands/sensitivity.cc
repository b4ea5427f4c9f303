// fieldtune sensitivity: which layers are worth adapting to the user's data.
#include "cli/commands/commands.h"
#include "cli/progress.h"
#include "cli/sensitivity_job.h"

namespace ft::cli {
namespace {

struct Options {
  SensitivityJob job;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option("model", job.model,
                   "model file (.tflite, llama2.c .bin) or Hugging Face folder")
        ->required();
    job.data.add_source_to(app);
    job.data.add_split_to(app);
    app.add_option("--target-modules", job.target_modules,
                   "layers to look at: names, their last parts or shell "
                   "patterns (default: all)")
        ->delimiter(',');
    app.add_flag("--new-head", job.new_head,
                 "gradients come through a new classification head for the "
                 "data's classes");
    app.add_option("--head-samples", job.head_samples,
                   "samples that a new head is trained on before, at most")
        ->capture_default_str()
        ->check(CLI::NonNegativeNumber);
    app.add_option("--head-lr", job.head_lr, "at this rate, by SGD")
        ->capture_default_str()
        ->check(CLI::PositiveNumber);
    app.add_option("--samples", job.samples,
                   "samples to measure with, drawn from the training part (0: "
                   "all)")
        ->capture_default_str();
    app.add_option("--rank,-r", job.r,
                   "rows of the sketch of each gradient: more are more exact "
                   "and need more memory")
        ->capture_default_str();
    app.add_option("--precision", job.precision, "mixed or f32")
        ->capture_default_str();
    app.add_option("--loss", job.loss, "auto, cross-entropy or mse")
        ->capture_default_str();
    app.add_option("--ram", job.ram,
                   "budget of the measurement, e.g. 256K: layers are taken in "
                   "as many rounds as it needs");
    add_seq_len(app, job.seq_len);
    job.kernels.add_to(app);
    app.add_option("--seed", job.seed, "of everything random")
        ->capture_default_str();
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Status run(const Options& options) {
  catch_interrupts();
  FT_TRY(Json result, run_sensitivity_job(options.job));
  if (!options.json)  // lists as long as a layer are for programs
    for (Json& layer : result["layers"]) {
      layer.erase("spectrum");
      layer.erase("channels");
    }
  print_result(result, options.json);
  return ok_status();
}

}  // namespace

void add_sensitivity(CLI::App& app, Action& action) {
  add_command<Options>(
      app, action, "sensitivity",
      "Say which layers and outputs are worth adapting to your data",
      "fieldtune sensitivity kws.tflite --data recordings --front-end "
      "mlperf-kws --new-head --train-per-class 10 --ram 256K",
      run);
}

}  // namespace ft::cli
