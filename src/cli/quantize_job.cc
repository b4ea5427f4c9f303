#include "cli/quantize_job.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/hash.h"
#include "cli/evaluate_job.h"
#include "train/post_training.h"
#include "train/step.h"

namespace ft::cli {
namespace {

Status check_options(const QuantizeJob& job) {
  if (job.out.empty()) return usage_error("no --out FILE was given");
  FT_TRY_STATUS(check_writable(job.out));
  if (!(job.percentile > 50 && job.percentile <= 100))
    return usage_error(
        fmt::format("--percentile {}: must lie above 50 and at most at 100",
                    job.percentile));
  if (!(job.momentum > 0 && job.momentum <= 1))
    return usage_error(fmt::format(
        "--averaging {}: must lie above 0 and at most at 1", job.momentum));
  return ok_status();
}

// Whether the samples say what the model should answer: labels, or targets or
// (of an autoencoder) their own values, as many as there are answers.
bool has_answers(const Graph& graph, const Samples& samples) {
  if (!samples.labels.empty()) return true;
  return static_cast<size_t>(
             graph.value(graph.outputs[0]).type.shape.num_elements()) ==
         (samples.targets.empty() ? samples.feature_size : samples.target_size);
}

Status measure(const QuantizeJob& job, const Graph& graph,
               const EvaluationData& data, const char* suffix, Json& fields) {
  FT_TRY(const CompiledStep step, compile_base(graph, job.kernels.plan()));
  FT_TRY(const Evaluation e,
         evaluate_program(step.program, data, job.data.threads));
  fields.update(evaluation_fields(e, data, suffix));
  return ok_status();
}

}  // namespace

Result<Json> run_quantize_job(const QuantizeJob& job) {
  FT_TRY_STATUS(check_options(job));
  ObserverSettings observer{.momentum = job.momentum,
                            .percentile = job.percentile};
  FT_TRY(observer.kind, parse_observer(job.observer));
  FT_TRY(const MappedFile original, MappedFile::open(job.model));
  FT_TRY(const TfliteModel model, import_tflite(job.model, {.batch = 1}));
  EvaluationData data;
  FT_TRY(data.data, load_training_data(job.data, job.seed));
  const Split& split = data.data->split;
  const auto samples = draw_samples(to_indices(split.train), job.samples,
                                    job.seed, "calibration");
  FT_TRY(const Ranges ranges, observe_ranges(model, data.data->samples, samples,
                                             observer, job.kernels.plan()));
  FT_TRY(const auto file, quantized_tflite(original.bytes(), model, ranges));
  FT_TRY(const TfliteModel int8, import_tflite(file, {.batch = 1}));

  data.part = split.test.empty() ? "all" : "test";
  data.indices = to_indices(split.test.empty() ? split.train : split.test);
  Json fields = {{"quantized", job.out},
                 {"observer", name_of(observer.kind)},
                 {"calibration_samples", samples.size()},
                 {"file_bytes", file.size()},
                 {"float_file_bytes", original.bytes().size()},
                 {"sha256", sha256_hex(file)}};
  if (has_answers(model.graph, data.data->samples)) {
    FT_TRY_STATUS(measure(job, model.graph, data, "_f32", fields));
    FT_TRY_STATUS(measure(job, int8.graph, data, "_int8", fields));
  } else {  // it must run all the same
    FT_TRY_STATUS(compile_base(int8.graph, job.kernels.plan()).status());
  }
  FT_TRY_STATUS(write_file_atomically(job.out, file));
  return fields;
}

}  // namespace ft::cli
