// Latency of inference with training in the background, as one JSON object.
//
//   background_bench MODEL FOLDER SAME_CORE OTHER_CORE [seconds] [between]
//
// One thread, pinned to SAME_CORE, answers a request every two milliseconds; in
// turns of a second nobody trains, an idle-class thread trains on SAME_CORE, or
// on OTHER_CORE. Turns take each other's place so that what else the machine
// does meets all three alike. `between` seconds (1) lie between two checkpoints
// of a training, 30 in the field. bench/adapter_background.py calls it; not a
// test.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "base/random.h"
#include "fieldtune/background_training.h"
#include "serving/idle_thread.h"

namespace ft {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;
using fieldtune::BackgroundTraining;
using fieldtune::Runtime;

constexpr std::chrono::milliseconds kPeriod{2};
constexpr std::chrono::seconds kTurn{1};
constexpr int kClasses = 4, kSamples = 32;

struct Phase {
  const char* name;
  std::vector<double> us = {};
  double steps = 0;
};

double quantile(std::vector<double> values, double q) {
  std::ranges::sort(values);
  return values[static_cast<size_t>(q *
                                    static_cast<double>(values.size() - 1))];
}

std::vector<float> noise(size_t size, uint64_t seed) {
  const Random random(seed, "noise");
  std::vector<float> x(size);
  for (size_t i = 0; i < size; ++i) x[i] = 10 * random.normal(i);
  return x;
}

// Trains for hours, on samples that teach nothing, and publishes never.
Result<BackgroundTraining> training_on(int cpu, Runtime& runtime,
                                       const std::string& model,
                                       const std::string& folder,
                                       double between) {
  fieldtune::BackgroundOptions options;
  for (int c = 0; c < kClasses; ++c)
    options.training.classes.push_back(fmt::format("class{}", c));
  options.training.rank = 4;
  options.training.total_steps = 1 << 30;
  options.publish_every = 1 << 30;
  options.name = fmt::format("on{}", cpu);
  options.folder = folder;
  options.checkpoint = fmt::format("{}/on{}.checkpoint", folder, cpu);
  options.checkpoint_seconds = between;
  (void)std::filesystem::remove(options.checkpoint);
  options.cpus = {cpu};
  FT_TRY(BackgroundTraining training,
         BackgroundTraining::start(runtime, model, options));
  training.pause();
  FT_TRY(const fieldtune::Model whole, fieldtune::Model::open(model));
  int64_t size = 1;
  for (const int64_t dim : whole.inputs()[0].shape) size *= dim;
  for (int i = 0; i < kSamples; ++i)
    FT_TRY_STATUS(training.add_sample(
        noise(static_cast<size_t>(size), static_cast<uint64_t>(i)),
        i % kClasses));
  return training;
}

// A turn of requests; their latencies.
Status turn(Runtime& runtime, std::span<const float> x,
            std::vector<double>& us) {
  std::vector<float> answer;
  const auto end = Clock::now() + kTurn;
  for (auto due = Clock::now(); due < end; due += kPeriod) {
    std::this_thread::sleep_until(due);
    const auto start = Clock::now();
    FT_TRY_STATUS(runtime.run(x, answer));
    us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start)
                     .count());
  }
  return ok_status();
}

Json row_of(const Phase& phase, const Phase& off) {
  const double p99 = quantile(phase.us, 0.99);
  return {{"phase", phase.name},
          {"requests", phase.us.size()},
          {"p50_us", quantile(phase.us, 0.5)},
          {"p99_us", p99},
          {"p99_over_off", p99 / quantile(off.us, 0.99)},
          {"steps", phase.steps}};
}

Result<Json> run(const std::vector<std::string>& args) {
  if (args.size() < 4)
    return usage_error("see the head of background_bench.cc");
  const int same = std::atoi(args[2].c_str()),
            other = std::atoi(args[3].c_str());
  const int turns = args.size() > 4 ? std::atoi(args[4].c_str()) : 20;
  const double between = args.size() > 5 ? std::atof(args[5].c_str()) : 1;
  std::filesystem::create_directories(args[1]);
  FT_TRY_STATUS(confine_to(std::array{same}));
  FT_TRY(Runtime runtime, Runtime::open(args[0]));
  FT_TRY(BackgroundTraining here,
         training_on(same, runtime, args[0], args[1], between));
  FT_TRY(BackgroundTraining there,
         training_on(other, runtime, args[0], args[1], between));
  FT_TRY(const fieldtune::Model model, fieldtune::Model::open(args[0]));
  size_t size = 1;
  for (const int64_t dim : model.inputs()[0].shape)
    size *= static_cast<size_t>(dim);
  const std::vector<float> x = noise(size, 99);

  std::array<Phase, 3> phases{
      {{.name = "off"}, {.name = "same core"}, {.name = "other core"}}};
  const std::array<BackgroundTraining*, 3> trainings{nullptr, &here, &there};
  for (int t = 0; t < turns; ++t)
    for (size_t i = 0; i < phases.size(); ++i) {
      const int64_t before = trainings[i] ? trainings[i]->progress().steps : 0;
      if (trainings[i]) trainings[i]->resume();
      FT_TRY_STATUS(turn(runtime, x, phases[i].us));
      if (!trainings[i]) continue;
      trainings[i]->pause();
      phases[i].steps +=
          static_cast<double>(trainings[i]->progress().steps - before);
    }
  Json rows = Json::array();
  for (const Phase& phase : phases) rows.push_back(row_of(phase, phases[0]));
  const auto slice = std::max(here.progress().longest_slice_us,
                              there.progress().longest_slice_us);
  return Json{{"seconds_each", turns},
              {"checkpoint_seconds", between},
              {"idle_class", here.progress().is_idle_class},
              {"longest_slice_us", slice},
              {"phases", rows}};
}

}  // namespace
}  // namespace ft

int main(int argc, char** argv) {
  const auto result = ft::run({argv + 1, argv + argc});
  if (!result.ok()) {
    fmt::print(stderr, "background_bench: {}\n", result.status().message());
    return ft::exit_code(result.status().code());
  }
  fmt::print("{}\n", result->dump());
  return 0;
}
