// For tests of training in the background: three classes that are easy to tell
// apart, and a runtime of the demo's base to learn them beside.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "fieldtune/background_training.h"

namespace ft {

using fieldtune::BackgroundOptions;
using fieldtune::BackgroundProgress;
using fieldtune::BackgroundTraining;
using fieldtune::Runtime;
using State = BackgroundProgress::State;

inline const std::string kBase =
    FT_SOURCE_DIR "/examples/demo/keyword_base.tflite";
inline constexpr int kClasses = 3;

inline std::string new_folder(const std::string& name) {
  const auto folder =
      std::filesystem::path(testing::TempDir()) / ("ft_background_" + name);
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

// Three classes that differ in which third of the features is bright.
inline std::vector<float> sample_of(size_t size, int label, uint64_t seed) {
  const Random random(seed, "sample");
  std::vector<float> x(size);
  for (size_t i = 0; i < size; ++i)
    x[i] = 3 * random.normal(i) +
           (i * kClasses / size == static_cast<size_t>(label) ? 12.0f : -6.0f);
  return x;
}

struct Fixture {
  explicit Fixture(const std::string& name)
      : folder(new_folder(name)), runtime(Runtime::open(kBase).value()) {
    options.training.classes = {"low", "middle", "high"};
    options.training.total_steps = 60;
    options.training.batch = 4;
    options.training.learning_rate = 0.01;
    options.name = "mine";
    options.folder = folder;
    options.publish_every = 20;
    options.idle_class = false;  // other tests want all cores at this time
  }
  BackgroundTraining start() {
    auto started = BackgroundTraining::start(runtime, kBase, options);
    EXPECT_TRUE(started.ok()) << started.status().message();
    return std::move(started).value();
  }
  void teach(BackgroundTraining& training, int samples) const {
    for (int i = 0; i < samples; ++i) {
      const auto x = sample_of(size, i % kClasses, static_cast<uint64_t>(i));
      const Status status =
          training.add_sample(x, label_of ? label_of(x, i) : i % kClasses);
      ASSERT_TRUE(status.ok()) << status.message();
    }
  }

  std::string folder;
  // In the place of the class that a sample was made of.
  std::function<int(const std::vector<float>& x, int i)> label_of;
  Runtime runtime;
  BackgroundOptions options;
  size_t size = fieldtune::Model::open(kBase)->input(0).size();  // int8
};

// Looks at its progress until that holds.
template <class Holds>
void wait_until(const BackgroundTraining& training, const Holds& holds) {
  while (!holds(training.progress()))
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace ft
