// The training desk's samples: on disk first, then learned from.
#include <fmt/format.h>

#include <algorithm>

#include "service/training_desk.h"

namespace ft::service {

// Every sample is checked here, before anything is begun.
Status TrainingDesk::open_samples(const TrainingStart& start) {
  if (!options_.keep_samples) return ok_status();
  const auto& o = start.background;
  FT_TRY(auto opened,
         SampleFile::open(sample_file_of(options_.work, o.name),
                          {.base_sha256 = options_.base_sha256,
                           .features = static_cast<int64_t>(options_.features),
                           .classes = o.training.classes},
                          options_.key));
  if (static_cast<size_t>(opened.count()) > options_.max_samples)
    return usage_error(
        fmt::format("{} samples of '{}' are kept, the training takes {}",
                    opened.count(), o.name, options_.max_samples));
  FT_TRY_STATUS(
      opened.read([](std::span<const float>, int32_t) { return ok_status(); }));
  samples_.emplace(std::move(opened));
  return ok_status();
}

// All before the first step, as if it had never ended: which samples a step
// learns from depends on how many there are.
Status TrainingDesk::give_kept(fieldtune::BackgroundTraining& training) {
  if (!samples_) return ok_status();
  return samples_->read([&](std::span<const float> features, int32_t label) {
    return training.add_sample(features, label);
  });
}

// A file that nothing was given to is not left behind.
void TrainingDesk::close_samples() {
  if (!samples_) return;
  const KeptSamples facts = samples_->facts();
  samples_.reset();
  if (facts.samples == 0)
    (void)service::delete_samples(options_.work, facts.adapter);
}

Status TrainingDesk::check_sample(LabeledSample& sample) const {
  const size_t classes = classes_.empty() ? options_.answers : classes_.size();
  if (sample.features.size() != options_.features)
    return usage_error(fmt::format("{} features, the model takes {}",
                                   sample.features.size(), options_.features));
  if (!sample.word.empty()) {
    const auto at = std::ranges::find(classes_, sample.word);
    if (at == classes_.end())
      return usage_error(
          fmt::format("the training knows no class '{}'", sample.word));
    sample.label = at - classes_.begin();
  }
  if (sample.label < 0 || static_cast<size_t>(sample.label) >= classes)
    return usage_error(fmt::format("label {}: the training has {} classes",
                                   sample.label, classes));
  return ok_status();
}

Reply TrainingDesk::add_samples(std::vector<LabeledSample> samples) {
  const std::lock_guard giving(samples_mutex_);
  std::shared_ptr<fieldtune::BackgroundTraining> training;
  {
    const std::lock_guard lock(mutex_);
    if (!look().running) return nothing_runs();
    const size_t had = training_->progress().samples;
    if (had + samples.size() > options_.max_samples)
      return {409, fmt::format("the training takes {} samples and has {}",
                               options_.max_samples, had)};
    for (LabeledSample& sample : samples) FT_TRY_STATUS(check_sample(sample));
    training = training_;
  }
  if (samples_) FT_TRY_STATUS(samples_->add(samples));
  for (const LabeledSample& sample : samples)
    FT_TRY_STATUS(training->add_sample(sample.features,
                                       static_cast<int32_t>(sample.label)));
  const auto p = training->progress();
  const std::lock_guard lock(mutex_);
  last_.kept_samples =
      samples_ ? static_cast<size_t>(samples_->count()) : size_t{0};
  return Json{{"samples", p.samples},
              {"held_back", p.held_back},
              {"kept_samples", last_.kept_samples}};
}

Result<std::vector<KeptSamples>> TrainingDesk::kept_samples() const {
  if (options_.work.empty()) return std::vector<KeptSamples>();
  const std::lock_guard giving(samples_mutex_);
  if (!samples_) return list_samples(options_.work);
  const KeptSamples own = samples_->facts();
  FT_TRY(auto list, list_samples(options_.work, own.adapter));
  list.insert(
      std::ranges::lower_bound(list, own.adapter, {}, &KeptSamples::adapter),
      own);
  return list;
}

Reply TrainingDesk::delete_samples(const std::string& adapter) {
  if (options_.work.empty())
    return {409,
            "this service keeps no samples: it was started without --work "
            "FOLDER"};
  const std::lock_guard giving(samples_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (training_ && last_.adapter == adapter)
      return {409, fmt::format("the training of '{}' has them; stop it before",
                               adapter)};
  }
  const Status gone = service::delete_samples(options_.work, adapter);
  if (gone.code() == Code::kUsage) return {404, gone.message()};
  if (!gone.ok()) return gone;
  return Json{{"deleted", adapter}};
}

}  // namespace ft::service
