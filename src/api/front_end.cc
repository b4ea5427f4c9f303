#include "data/front_end.h"

#include <functional>
#include <numeric>

#include "api/common.h"

namespace fieldtune {

struct FrontEnd::Impl {
  explicit Impl(const ft::FrontEnd& chosen)
      : settings(chosen), extractor(chosen) {
    const auto shape = ft::audio_feature_shape(chosen);
    feature_size = static_cast<size_t>(std::accumulate(
        shape.begin(), shape.end(), int64_t{1}, std::multiplies<>()));
  }

  ft::FrontEnd settings;
  ft::FeatureExtractor extractor;
  size_t feature_size;
};

FrontEnd::FrontEnd(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FrontEnd::FrontEnd(FrontEnd&&) noexcept = default;
FrontEnd& FrontEnd::operator=(FrontEnd&&) noexcept = default;
FrontEnd::~FrontEnd() = default;

Result<FrontEnd> FrontEnd::open(const std::string& preset_or_path) {
  FT_TRY(const ft::FrontEnd chosen, ft::load_front_end(preset_or_path));
  if (!chosen.takes_audio())
    return ft::usage_error("front end '" + preset_or_path +
                           "' does not take sound");
  return FrontEnd(std::make_unique<Impl>(chosen));
}

int FrontEnd::sample_rate() const { return impl_->settings.mfcc.sample_rate; }
size_t FrontEnd::clip_samples() const {
  return static_cast<size_t>(impl_->settings.mfcc.clip_samples);
}
size_t FrontEnd::feature_size() const { return impl_->feature_size; }

Status FrontEnd::run(std::span<const float> samples,
                     std::span<float> features) {
  FT_TRY_STATUS(
      check_count("places for features", features.size(), impl_->feature_size));
  impl_->extractor.run(samples, features);
  return {};
}

}  // namespace fieldtune
