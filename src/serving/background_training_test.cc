#include "fieldtune/background_training.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>

#include "adapters/signing_key.h"
#include "adapters/trust/load_checks.h"
#include "base/file.h"
#include "base/random.h"
#include "serving/background_fixture.h"
#include "serving/frozen_thread.h"
#include "serving/idle_thread.h"
#include "serving/sample_book.h"

namespace ft {
namespace {

TEST(BackgroundTraining, LearnsAndPublishesWhatIsBetter) {
  Fixture f("learns");
  f.options.activate = true;
  BackgroundTraining training = f.start();
  training.wait();
  EXPECT_EQ(training.progress().state, State::kWaiting);
  f.teach(training, 36);
  training.wait();
  const BackgroundProgress p = training.progress();
  EXPECT_EQ(p.state, State::kFinished) << p.message;
  EXPECT_EQ(p.steps, 60);
  EXPECT_EQ(p.samples, 36u);
  EXPECT_NEAR(static_cast<double>(p.held_back), 7.2, 1);
  ASSERT_GE(p.versions, 1);
  EXPECT_GE(p.serving_accuracy, 0.9);
  EXPECT_TRUE(std::filesystem::exists(p.file));
  EXPECT_GT(p.longest_slice_us, 0);
  EXPECT_EQ(f.runtime.active(), "mine");
  std::vector<float> answer;
  ASSERT_TRUE(f.runtime.run(sample_of(f.size, 1, 99), answer).ok());
  ASSERT_EQ(answer.size(), 3u);
  EXPECT_GT(answer[1], std::max(answer[0], answer[2]));
}

// Its steps are few here: on a busy machine it gets no core.
TEST(BackgroundTraining, IsOfTheIdleClassAndLearnsThere) {
  Fixture f("idle");
  f.options.idle_class = true;
  f.options.training.total_steps = 2;
  BackgroundTraining training = f.start();
  f.teach(training, 36);
  training.wait();
  EXPECT_EQ(training.progress().state, State::kFinished);
  EXPECT_EQ(training.progress().steps, 2);
  EXPECT_TRUE(training.progress().is_idle_class);
}

TEST(BackgroundTraining, RestsWhilePausedAndGoesOn) {
  Fixture f("pause");
  BackgroundTraining training = f.start();
  training.pause();
  f.teach(training, 24);
  while (training.progress().state != State::kPaused)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(training.progress().steps, 0);
  training.resume();
  training.wait();
  EXPECT_EQ(training.progress().state, State::kFinished);
}

TEST(BackgroundTraining, AnOwnersFunctionThatThrowsEndsTheTrainingOnly) {
  Fixture f("throws");
  f.options.least_gain = -1;
  f.options.on_published = [](const std::string&) -> Status {
    throw std::runtime_error("no place");
  };
  BackgroundTraining training = f.start();
  f.teach(training, 24);
  training.wait();
  EXPECT_EQ(training.progress().state, State::kFailed);
  EXPECT_NE(training.progress().message.find("no place"), std::string::npos);
}

TEST(BackgroundTraining, SignedVersionsPassAPolicyThatAsksForIt) {
  Fixture f("signed");
  const std::string key = f.folder + "/key", policy = f.folder + "/trust.toml";
  const auto made = create_signing_key(key);
  ASSERT_TRUE(made.ok()) << made.status().message();
  const auto text = with_trusted_key("", policy, "me", made.value());
  ASSERT_TRUE(text.ok()) << text.status().message();
  ASSERT_TRUE(write_file_atomically(policy, text.value()).ok());
  f.runtime = Runtime::open(kBase, {.policy = policy}).value();
  f.options.least_gain = -1;
  f.options.activate = true;
  {
    BackgroundTraining unsigned_ones = f.start();
    f.teach(unsigned_ones, 24);
    unsigned_ones.wait();
    const BackgroundProgress p = unsigned_ones.progress();
    EXPECT_EQ(p.state, State::kFailed);
    EXPECT_NE(p.message.find("refused by the signature check"),
              std::string::npos)
        << p.message;
    EXPECT_EQ(f.runtime.active(), "");
    EXPECT_TRUE(f.runtime.names().empty());
  }
  f.options.signing_key = key;
  BackgroundTraining training = f.start();
  f.teach(training, 24);
  training.wait();
  EXPECT_EQ(training.progress().state, State::kFinished)
      << training.progress().message;
  EXPECT_EQ(training.progress().versions, 3);
  EXPECT_EQ(f.runtime.active(), "mine");
  const auto last = MappedFile::open(training.progress().file);
  ASSERT_TRUE(last.ok());
  const auto adapter = load_checked(
      last->bytes(), rules_of_policy(policy).value(), "the last version");
  ASSERT_TRUE(adapter.ok()) << adapter.status().message();
  EXPECT_EQ(adapter->get("version"), "4");  // 1 was unsigned
  EXPECT_EQ(adapter->get("name"), "mine");
  EXPECT_EQ(adapter->get("parent_sha256").size(), 64u);
}

// What an inference sees while versions are published under it: each answer is
// that of one of them as a whole.
TEST(BackgroundTraining, AnswersComeFromOneVersionEach) {
  Fixture f("versions");
  f.options.activate = true;
  f.options.least_gain = -1;
  f.options.publish_every = 5;
  BackgroundTraining training = f.start();
  const std::vector<float> x = sample_of(f.size, 0, 7);
  std::set<std::vector<float>> seen, versions;
  std::atomic<bool> done{false};
  std::thread inference([&] {
    std::vector<float> answer;
    while (!done) {
      ASSERT_TRUE(f.runtime.run(x, answer).ok());
      seen.insert(answer);
    }
  });
  f.teach(training, 24);
  training.wait();
  done = true;
  inference.join();
  EXPECT_EQ(training.progress().versions, 12);
  std::vector<float> answer;
  ASSERT_TRUE(f.runtime.run_with("", x, answer).ok());
  versions.insert(answer);
  for (int v = 1; v <= 12; ++v) {
    const std::string file =
        fmt::format("{}/mine-v{}.safetensors", f.folder, v);
    auto model = fieldtune::Model::open(kBase, {.adapters = {{file}}});
    ASSERT_TRUE(model.ok()) << model.status().message();
    const auto y = model->run(x);
    ASSERT_TRUE(y.ok());
    versions.insert(std::vector<float>(y->begin(), y->end()));
  }
  for (const auto& one : seen) EXPECT_TRUE(versions.contains(one));
}

TEST(BackgroundTraining, NobodyWaitsForAThreadThatGetsNoCore) {
  Fixture f("frozen");
  f.options.training.batch = 1;
  f.options.training.total_steps = f.options.publish_every = 1 << 30;
  f.options.held_back = 0.01;
  f.options.checkpoint = f.folder + "/state";
  f.options.checkpoint_seconds = 0;  // also while it writes
  BackgroundTraining training = f.start();
  f.teach(training, 10000);  // a new order of so many takes its time
  while (training.progress().steps == 0) std::this_thread::yield();
  const pid_t thread = thread_named("ft_background");
  ASSERT_GT(thread, 0);
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  const Random random(seed, "moments");
  const std::vector<float> x(f.size);
  std::chrono::duration<double> longest{0};
  for (uint64_t i = 0; i < 200 && longest.count() < 1; ++i) {
    ASSERT_TRUE(training.add_sample(x, 0).ok());
    std::this_thread::sleep_for(
        std::chrono::microseconds(random.below(i, 2000)));
    const FrozenThread frozen(thread);
    const auto began = std::chrono::steady_clock::now();
    (void)training.progress();
    ASSERT_TRUE(training.add_sample(x, 0).ok());
    longest = std::max<std::chrono::duration<double>>(
        longest, std::chrono::steady_clock::now() - began);
  }
  EXPECT_LT(longest.count(), 1);
  ASSERT_TRUE(training.stop().ok());
}

TEST(BackgroundTraining, RefusesWhatCannotWork) {
  Fixture f("refuses");
  const auto code = [&](const BackgroundOptions& options) {
    return BackgroundTraining::start(f.runtime, kBase, options).status().code();
  };
  BackgroundOptions bad = f.options;
  bad.name = "../mine";
  EXPECT_EQ(code(bad), Code::kUsage);
  bad = f.options;
  bad.held_back = 1;
  EXPECT_EQ(code(bad), Code::kUsage);
  bad = f.options;
  bad.publish_every = 0;
  EXPECT_EQ(code(bad), Code::kUsage);
  for (const double seconds : {-1.0, std::nan("")}) {
    bad = f.options;
    bad.checkpoint_seconds = seconds;
    EXPECT_EQ(code(bad), Code::kUsage);
  }
  bad = f.options;
  bad.folder += "/nowhere";
  EXPECT_EQ(code(bad), Code::kIo);
  bad = f.options;
  bad.cpus = {1023};
  EXPECT_EQ(code(bad), Code::kIo);

  BackgroundTraining training = f.start();
  EXPECT_EQ(training.add_sample(std::vector<float>(3), 0).code(), Code::kUsage);
  const std::vector<float> x(f.size);
  EXPECT_EQ(training.add_sample(x, 3).code(), Code::kUsage);
  EXPECT_EQ(training.add_sample(x, -1).code(), Code::kUsage);
  EXPECT_EQ(training.progress().samples, 0u);
}

TEST(IdleThread, ReadsPressureAsLinuxWritesIt) {
  EXPECT_EQ(parse_pressure("some avg10=12.50 avg60=1.00 avg300=0.20 total=9\n"),
            12.5);
  EXPECT_EQ(parse_pressure("some avg10="), std::nullopt);
  EXPECT_EQ(parse_pressure("full avg10=1.00"), std::nullopt);
  EXPECT_EQ(parse_pressure(""), std::nullopt);
}

TEST(IdleThread, ReadsThePressureOfThisMachine) {
  std::string line;
  std::ifstream file("/proc/pressure/cpu");
  EXPECT_EQ(cpu_pressure().has_value(), bool(std::getline(file, line)));
}

TEST(SampleBook, HoldsBackItsShareAndDrawsEachOnceARound) {
  SampleBook book(1, 0.25, 3);
  for (int i = 0; i < 100; ++i) {
    const float x = static_cast<float>(i);
    book.add({&x, 1}, i);
    EXPECT_NEAR(static_cast<double>(book.held_back().size()), 0.25 * (i + 1),
                1);
  }
  const size_t count = book.to_learn().size();
  for (uint64_t round = 0; round < 3; ++round) {
    std::set<size_t> drawn;
    for (size_t i = 0; i < count; ++i)
      drawn.insert(book.drawn(round * count + i));
    EXPECT_EQ(drawn.size(), count);
    for (const size_t kept : book.held_back())
      EXPECT_FALSE(drawn.contains(kept));
  }
  EXPECT_EQ(book.features(42)[0], 42.0f);
  EXPECT_EQ(book.label(42), 42);
}

}  // namespace
}  // namespace ft
