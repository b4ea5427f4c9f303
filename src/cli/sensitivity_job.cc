#include "cli/sensitivity_job.h"

#include "cli/progress.h"
#include "train/sensitivity.h"

namespace ft::cli {
namespace {

constexpr double kMostEnergy = 0.9;

Result<SensitivitySettings> settings_of(const SensitivityJob& job,
                                        const LoadedData& data,
                                        const Graph& base) {
  SensitivitySettings s;
  s.r = job.r;
  s.head_samples = job.head_samples;
  s.head_lr = job.head_lr;
  s.target_modules = job.target_modules;
  s.seed = job.seed;
  s.plan = job.kernels.plan();
  if (job.new_head) s.num_classes = static_cast<int>(data.set.classes.size());
  if (job.new_head && s.num_classes == 0)
    return usage_error("--new-head needs data with classes");
  if (!job.ram.empty()) {
    FT_TRY(s.ram_bytes, parse_bytes(job.ram));
  }
  FT_TRY(s.precision, parse_precision(job.precision));
  MethodSettings method;
  method.num_classes = s.num_classes;
  FT_TRY(s.loss, loss_for(job.loss, base, method));
  return s;
}

Json fields_of(const LayerSensitivity& layer, double fisher_sum) {
  return {{"module", layer.module},
          {"kind", layer.kind},
          {"rows", layer.rows},
          {"columns", layer.columns},
          {"fisher", layer.fisher},
          {"fisher_share", fisher_sum > 0 ? layer.fisher / fisher_sum : 0},
          {"mean_gradient", layer.mean_gradient},
          {"update_per_byte", layer.update_per_byte()},
          {"rank_90", count_for(layer.spectrum, kMostEnergy)},
          {"channels_90", count_for(layer.channels, kMostEnergy)},
          {"spectrum", layer.spectrum},
          {"channels", layer.channels}};
}

Json fields_of(const Sensitivity& s) {
  double sum = 0;
  for (const LayerSensitivity& layer : s.layers) sum += layer.fisher;
  Json layers = Json::array(), left_out = Json::array();
  for (const LayerSensitivity& layer : s.layers)
    layers.push_back(fields_of(layer, sum));
  for (const auto& [module, why] : s.left_out)
    left_out.push_back({{"module", module}, {"why", why}});
  return {{"samples", s.samples},     {"rounds", s.rounds},
          {"ram_bytes", s.ram_bytes}, {"fisher", sum},
          {"layers", layers},         {"left_out", left_out}};
}

}  // namespace

Result<Json> run_sensitivity_job(const SensitivityJob& job) {
  FT_TRY(const Precision precision, parse_precision(job.precision));
  FT_TRY(const BaseModel base, load_base(job.model, precision, 1, job.seq_len));
  const TextReader reader(base);
  FT_TRY(const auto data,
         load_training_data(job.data, job.seed,
                            job.data.text.empty() ? nullptr : &reader));
  FT_TRY(const SensitivitySettings settings,
         settings_of(job, *data, base.graph));
  const MaskSamples samples{
      data->samples,
      draw_samples(to_indices(data->split.train), job.samples, job.seed,
                   "sensitivity"),
      settings.loss == Loss::kMse ? Task::kRegression : Task::kClassification};
  int64_t total = 0;
  std::unique_ptr<ProgressLine> progress;
  FT_TRY(const Sensitivity result,
         measure_sensitivity(
             base.graph, settings, samples, [&](int64_t done, int64_t all) {
               if (progress == nullptr)
                 progress =
                     std::make_unique<ProgressLine>("sample", all, job.quiet);
               total = all;
               progress->update(done, "");
               return !interrupted();
             }));
  progress->update(total, "");
  return fields_of(result);
}

}  // namespace ft::cli
