// fieldtune quantize: an int8 model from a float one.
#include "cli/commands/commands.h"
#include "cli/quantize_job.h"

namespace ft::cli {
namespace {

struct Options {
  QuantizeJob job;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option("model", job.model, "float32 model file (.tflite)")
        ->required();
    job.data.add_source_to(app);
    job.data.add_split_to(app);
    app.add_option("--out,-o", job.out, "int8 model file to write (.tflite)")
        ->required();
    app.add_option("--observer", job.observer,
                   "how ranges of activations are found: min-max, "
                   "moving-average, percentile or mse")
        ->capture_default_str();
    app.add_option("--percentile", job.percentile,
                   "share of the values inside the range, from both ends, in "
                   "percent (observer percentile)")
        ->capture_default_str();
    app.add_option("--averaging", job.momentum,
                   "weight of a new sample (observer moving-average)")
        ->capture_default_str();
    app.add_option("--calibration-samples", job.samples,
                   "samples to run, drawn from the training part (0: all)")
        ->capture_default_str();
    job.kernels.add_to(app);
    app.add_option("--seed", job.seed, "of everything random")
        ->capture_default_str();
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Status run(const Options& options) {
  FT_TRY(const Json fields, run_quantize_job(options.job));
  print_result(fields, options.json);
  return ok_status();
}

}  // namespace

void add_quantize(CLI::App& app, Action& action) {
  add_command<Options>(
      app, action, "quantize", "Make an int8 model of a float model",
      "fieldtune quantize model.tflite --data recordings --front-end "
      "mlperf-kws --out int8.tflite",
      run);
}

}  // namespace ft::cli
