// The public interface alone, as a program outside of this repository sees it.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <vector>

#include "fieldtune/fieldtune.h"
#include "tests/count_allocations.h"

namespace {

using fieldtune::Code;
using fieldtune::Model;
using fieldtune::Training;
using fieldtune::TrainingOptions;

const std::string kBase = FT_SOURCE_DIR "/examples/demo/keyword_base.tflite";

const std::vector<int32_t> kLabel = {0};

std::string temporary(const std::string& name) {
  return (std::filesystem::path(testing::TempDir()) / ("api_" + name)).string();
}

// Two classes that differ in which half of the features is loud.
std::vector<float> sample_of(int label, size_t size, int number) {
  std::vector<float> x(size);
  for (size_t i = 0; i < size; ++i) {
    const bool loud = (i < size / 2) == (label == 0);
    x[i] = (loud ? 8.0f : -8.0f) + static_cast<float>((i * 7 + number) % 5);
  }
  return x;
}

TrainingOptions two_classes() {
  return {.rank = 2, .classes = {"first", "second"}, .total_steps = 40};
}

void run_steps(Training& training, int count) {
  const size_t size = training.feature_size();
  const int first = static_cast<int>(training.steps_done());
  for (int i = first; i < first + count; ++i) {
    const int32_t label = i % 2;
    const auto loss = training.step(sample_of(label, size, i), {&label, 1});
    ASSERT_TRUE(loss.ok()) << loss.status().message();
  }
}

TEST(Api, TrainsSavesAndRunsAnAdapter) {
  auto training = Training::create(kBase, two_classes());
  ASSERT_TRUE(training.ok()) << training.status().message();
  EXPECT_GT(training->memory().ram(), 0U);
  EXPECT_LE(training->memory().lower_bound, training->memory().arena);
  EXPECT_EQ(training->label_size(), 1U);
  run_steps(*training, 40);
  const std::string path = temporary("two.safetensors");
  ASSERT_TRUE(training->save_adapter(path).ok());

  auto model = Model::open(kBase, {.adapters = {{path}}});
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->classes(), (std::vector<std::string>{"first", "second"}));
  const size_t size = training->feature_size();
  for (int label = 0; label < 2; ++label) {
    const auto x = sample_of(label, size, 1000 + label);
    const auto answer = model->run(x).value();
    ASSERT_EQ(answer.size(), 2U);
    EXPECT_GT(answer[label], answer[1 - label]);
    const auto predicted = training->predict(x).value();
    EXPECT_EQ(predicted[0], answer[0]);
    EXPECT_EQ(predicted[1], answer[1]);
  }
}

TEST(Api, StepsAndRunsDoNotAllocate) {
  auto training = Training::create(kBase, two_classes());
  ASSERT_TRUE(training.ok());
  const auto x = sample_of(0, training->feature_size(), 0);
  const size_t before = ft::allocation_count();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(training->step(x, kLabel).ok());
    ASSERT_TRUE(training->predict(x).ok());
  }
  EXPECT_EQ(ft::allocation_count(), before);
}

TEST(Api, GoesOnFromACheckpointWithEqualBits) {
  const std::string path = temporary("checkpoint");
  auto whole = Training::create(kBase, two_classes());
  ASSERT_TRUE(whole.ok());
  run_steps(*whole, 7);
  ASSERT_TRUE(whole->save_checkpoint(path).ok());
  run_steps(*whole, 13);
  auto resumed = Training::create(kBase, two_classes());
  ASSERT_TRUE(resumed->load_checkpoint(path).ok());
  EXPECT_EQ(resumed->steps_done(), 7);
  run_steps(*resumed, 13);
  EXPECT_EQ(whole->adapter_sha256().value(), resumed->adapter_sha256().value());

  TrainingOptions other = two_classes();
  other.learning_rate = 1;
  auto foreign = Training::create(kBase, other);
  EXPECT_EQ(foreign->load_checkpoint(path).code(), Code::kInvalidInput);
}

TEST(Api, UndoesAStepWhoseLossIsNotFinite) {
  TrainingOptions options = two_classes();
  options.precision = "f32";
  auto training = Training::create(kBase, options);
  ASSERT_TRUE(training.ok());
  run_steps(*training, 3);
  const std::string before = training->adapter_sha256().value();
  std::vector<float> x(training->feature_size(), std::nanf(""));
  const auto loss = training->step(x, kLabel);
  ASSERT_FALSE(loss.ok());
  EXPECT_EQ(loss.status().code(), Code::kInvalidInput);
  EXPECT_EQ(training->steps_done(), 3);
  EXPECT_EQ(training->adapter_sha256().value(), before);
}

TEST(Api, RunsRawTensorsAndTellsWhatTheyAre) {
  auto model = Model::open(kBase);
  ASSERT_TRUE(model.ok()) << model.status().message();
  ASSERT_EQ(model->inputs().size(), 1U);
  ASSERT_EQ(model->outputs().size(), 1U);
  EXPECT_EQ(model->inputs()[0].dtype, "int8");
  EXPECT_GT(model->inputs()[0].scale, 0);
  for (std::byte& b : model->input()) b = std::byte{3};
  model->run();
  const auto first =
      std::vector(model->output().begin(), model->output().end());
  for (std::byte& b : model->input()) b = std::byte{3};
  model->run();
  EXPECT_EQ(std::vector(model->output().begin(), model->output().end()), first);
}

TEST(Api, RefusesWhatDoesNotFit) {
  const auto code = [](const TrainingOptions& options) {
    return Training::create(kBase, options).status().code();
  };
  TrainingOptions options = two_classes();
  options.ram_bytes = 1000;
  EXPECT_EQ(code(options), Code::kDoesNotFit);
  options = two_classes();
  options.method = "lorra";
  EXPECT_EQ(code(options), Code::kUsage);
  options = two_classes();
  options.settings = {{"no_such_setting", "1"}};
  EXPECT_EQ(code(options), Code::kUsage);
  options = two_classes();
  options.total_steps = 0;
  EXPECT_EQ(code(options), Code::kUsage);
  EXPECT_EQ(Model::open("no_such_file.tflite").status().code(), Code::kIo);

  auto training = Training::create(kBase, two_classes());
  const auto x = sample_of(0, training->feature_size(), 0);
  EXPECT_FALSE(training->step(x, std::vector{2}).ok());
  EXPECT_FALSE(training->step(std::span(x).first(3), kLabel).ok());
  EXPECT_FALSE(training->regression_step(x, x).ok());
  EXPECT_EQ(training->steps_done(), 0);
}

TEST(Api, MakesFeaturesOfSound) {
  auto front_end = fieldtune::FrontEnd::open("mlperf-kws");
  ASSERT_TRUE(front_end.ok());
  EXPECT_EQ(front_end->sample_rate(), 16000);
  EXPECT_EQ(front_end->feature_size(), 490U);
  const std::vector<float> sound(front_end->clip_samples(), 0.1f);
  std::vector<float> features(front_end->feature_size());
  ASSERT_TRUE(front_end->run(sound, features).ok());
  EXPECT_EQ(front_end->run(sound, std::span(features).first(3)).code(),
            Code::kUsage);
  for (const float v : features) EXPECT_TRUE(std::isfinite(v));
  EXPECT_EQ(fieldtune::FrontEnd::open("raw").status().code(), Code::kUsage);
}

}  // namespace
