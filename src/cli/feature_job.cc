#include "cli/feature_job.h"

#include "base/hash.h"
#include "cli/progress.h"

namespace ft::cli {
namespace {

std::string key_of(const BaseModel& base, const Dataset& set) {
  return base.sha256 + sha256_hex(std::as_bytes(std::span(set.features)));
}

}  // namespace

Result<Json> train_on_features(const FeatureJob& job, BaseModel& base,
                               BaseModel& single,
                               std::span<const MethodSettings> methods,
                               LoadedData& data) {
  if (job.path.empty()) return Json::object();
  if (data.augment.any())
    return usage_error(
        "--feature-cache and --augment contradict each other: each variation "
        "of a sample has features of its own");
  FT_TRY_STATUS(take_frozen_trunk(base, methods).status());
  FT_TRY(Graph trunk, take_frozen_trunk(single, methods));
  FT_TRY(const Program program, build_program(std::move(trunk), job.plan));
  const size_t count = data.set.size();
  ProgressLine progress("features of sample", static_cast<int64_t>(count),
                        job.quiet);
  FT_TRY(FeatureCache opened,
         FeatureCache::open(job.path, program, data.samples, count,
                            key_of(single, data.set), [&](size_t done) {
                              const auto at = static_cast<int64_t>(done);
                              if (progress.due(at)) progress.update(at, "");
                            }));
  const auto cache = std::make_shared<const FeatureCache>(std::move(opened));
  data.samples = with_features(data.samples, cache, data.set.features);
  return Json{{"layer", program.outputs[0].name},
              {"bytes", cache->sample_bytes()},
              {"file_bytes", cache->file_bytes()},
              {"reused", cache->reused()},
              {"skipped_macs", program.macs}};
}

}  // namespace ft::cli
