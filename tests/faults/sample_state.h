// The samples of a folder of trainings as one text, for comparing what is there
// with what was given.
#pragma once

#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

#include "service/sample_file.h"

namespace ft::faults {

inline constexpr int64_t kSampleFeatures = 300;
inline constexpr const char* kTrainings[] = {"me", "you"};

inline service::SampleKind sample_kind(bool has_grown = false) {
  std::vector<std::string> classes = {"low", "high"};
  if (has_grown) classes.emplace_back("higher");
  return {.base_sha256 = std::string(64, 'b'),
          .features = kSampleFeatures,
          .classes = std::move(classes)};
}

// All of a sample follows from its number.
inline service::LabeledSample sample_of(int number) {
  std::vector<float> features(kSampleFeatures);
  for (size_t i = 0; i < features.size(); ++i)
    features[i] = static_cast<float>(number) + 0.001f * static_cast<float>(i);
  return {.features = std::move(features), .label = number % 2};
}

// The numbers of each training's samples in their order.
struct SampleOracle {
  std::map<std::string, std::vector<int>> numbers = {};

  std::string text() const {
    std::string all;
    for (const char* name : kTrainings) {
      all += std::string(name) + ":";
      if (const auto at = numbers.find(name); at != numbers.end())
        for (const int number : at->second) all += fmt::format(" {}", number);
      all += "\n";
    }
    return all;
  }
};

// Fails where a sample is not whole.
inline Result<std::vector<int>> numbers_in(service::SampleFile& file) {
  std::vector<int> numbers;
  FT_TRY_STATUS(
      file.read([&](std::span<const float> features, int32_t label) -> Status {
        const int number = static_cast<int>(features[0]);
        const service::LabeledSample whole = sample_of(number);
        if (label != whole.label ||
            !std::equal(features.begin(), features.end(),
                        whole.features.begin(), whole.features.end()))
          return internal_error(fmt::format("sample {} is mixed", number));
        numbers.push_back(number);
        return ok_status();
      }));
  return numbers;
}

}  // namespace ft::faults
