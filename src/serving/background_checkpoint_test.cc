// Checkpoints of training in the background: what a kill takes, and that it is
// made again as it was.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "adapters/signing_key.h"
#include "serving/background_fixture.h"

namespace ft {
namespace {

TEST(BackgroundTraining, GoesOnFromItsCheckpointAndCountsVersionsOn) {
  Fixture f("checkpoint");
  f.options.checkpoint = f.folder + "/state";
  f.options.least_gain = -1;
  f.options.training.total_steps = 100000;
  {
    BackgroundTraining first = f.start();
    f.teach(first, 24);
    wait_until(first, [](auto p) { return p.versions >= 2; });
    ASSERT_TRUE(first.stop().ok());
  }
  BackgroundTraining second = f.start();
  const int64_t before = second.progress().steps;
  EXPECT_GE(before, 40);
  f.teach(second, 24);
  wait_until(second, [](auto p) { return p.versions >= 1; });
  EXPECT_GT(second.progress().steps, before);
  EXPECT_EQ(second.progress().file.find("mine-v1."), std::string::npos);
  EXPECT_EQ(second.progress().file.find("mine-v2."), std::string::npos);
  ASSERT_TRUE(second.stop().ok());

  f.options.training.learning_rate = 0.5;
  const auto other = BackgroundTraining::start(f.runtime, kBase, f.options);
  EXPECT_EQ(other.status().code(), Code::kInvalidInput);
}

// What a kill would take, which a checkpoint of each moment shows.
TEST(BackgroundTraining, SavesEveryStepWhereItIsToldTo) {
  Fixture f("every step");
  f.options.checkpoint = f.folder + "/state";
  f.options.checkpoint_seconds = 0;
  f.options.training.total_steps = f.options.publish_every = 100000;
  int64_t before = 0;
  for (int i = 0; i < 3; ++i) {
    const std::string killed = f.folder + "/killed";
    {
      BackgroundTraining training = f.start();
      EXPECT_EQ(training.progress().steps, before);
      EXPECT_EQ(training.progress().saved_steps, before);
      f.teach(training, 24);
      wait_until(training, [&](auto p) { return p.steps >= before + 5; });
      training.pause();
      wait_until(training, [](auto p) { return p.state == State::kPaused; });
      before = training.progress().steps;
      EXPECT_EQ(training.progress().saved_steps, before);
      std::filesystem::copy_file(
          f.options.checkpoint, killed,
          std::filesystem::copy_options::overwrite_existing);
    }
    std::filesystem::rename(killed, f.options.checkpoint);
  }
}

// No step stays unsaved for longer than the seconds and one more step.
TEST(BackgroundTraining, SavesByTime) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kApart{100};
  Fixture f("by time");
  f.options.checkpoint = f.folder + "/state";
  f.options.checkpoint_seconds = 0.1;
  f.options.training.total_steps = f.options.publish_every = 100000;
  BackgroundTraining training = f.start();
  const auto began = Clock::now();
  f.teach(training, 24);
  std::vector<int64_t> saves = {0};
  auto saved_at = began;
  int64_t when_due = 0;  // steps; 0: it is not
  while (saves.size() < 6) {
    const bool is_due = Clock::now() > saved_at + kApart;
    const int64_t steps = training.progress().steps;
    const BackgroundProgress p = training.progress();
    EXPECT_LE(p.saved_steps, p.steps);
    if (p.saved_steps != saves.back()) {
      saves.push_back(p.saved_steps);
      saved_at = Clock::now();
      when_due = 0;
    } else if (when_due > 0) {
      ASSERT_LT(steps, when_due + 2);
    } else if (is_due) {
      when_due = p.steps;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  EXPECT_GE(Clock::now() - began, 5 * kApart);
  EXPECT_TRUE(std::ranges::is_sorted(saves));

  f.options.checkpoint_seconds = 3600;
  f.options.checkpoint = f.folder + "/another";
  BackgroundTraining rarely = f.start();
  f.teach(rarely, 24);
  wait_until(rarely, [](auto p) { return p.steps >= 5; });
  EXPECT_EQ(rarely.progress().saved_steps, 0);
  ASSERT_TRUE(rarely.stop().ok());
  EXPECT_EQ(rarely.progress().saved_steps, rarely.progress().steps);
}

TEST(BackgroundTraining, SavesItsLastStepThoughNothingWasPublished) {
  Fixture f("last step");
  f.options.checkpoint = f.folder + "/state";
  f.options.least_gain = 1;
  BackgroundTraining training = f.start();
  f.teach(training, 24);
  training.wait();
  EXPECT_EQ(training.progress().refused, 3);
  EXPECT_EQ(training.progress().saved_steps, 60);
}

TEST(BackgroundTraining, GoesOnWhileItsCheckpointCannotBeWritten) {
  Fixture f("no place");
  const std::string place = f.folder + "/place";
  std::filesystem::create_directory(place);
  f.options.checkpoint = place + "/state";
  f.options.checkpoint_seconds = 0;
  f.options.training.total_steps = f.options.publish_every = 100000;
  BackgroundTraining training = f.start();
  const auto until = [&](const auto& holds) { wait_until(training, holds); };
  f.teach(training, 24);
  until([](const auto& p) { return p.saved_steps > 0; });
  std::filesystem::rename(place, place + " is gone");
  until([](const auto& p) { return !p.checkpoint_problem.empty(); });
  const int64_t steps = training.progress().steps;
  until([&](const auto& p) { return p.steps > steps + 3; });
  EXPECT_LE(training.progress().saved_steps, steps);
  EXPECT_NE(training.progress().checkpoint_problem.find(place),
            std::string::npos);
  std::filesystem::rename(place + " is gone", place);
  until([&](const auto& p) { return p.saved_steps > steps; });
  until([](const auto& p) { return p.checkpoint_problem.empty(); });
  EXPECT_EQ(training.progress().state, State::kTraining);
}

// Died between the version's file and its owner's hearing of it: the same file
// is told of again, and no second one is made of the same values.
TEST(BackgroundTraining, PublishesTheVersionThatItLeftBehindAndNoSecondOne) {
  for (const bool is_signed : {false, true}) {
    Fixture f("left behind");
    f.options.least_gain = -1;
    f.options.checkpoint = f.folder + "/state";
    if (is_signed) {
      f.options.signing_key = f.folder + "/key";
      ASSERT_TRUE(create_signing_key(f.options.signing_key).ok());
    }
    std::vector<std::string> told;
    size_t fails_at = 2;
    f.options.on_published = [&](const std::string& file) -> Status {
      told.push_back(std::filesystem::path(file).filename());
      return told.size() == fails_at ? io_error("no place") : ok_status();
    };
    for (int i = 0; i < 2; ++i) {
      BackgroundTraining training = f.start();
      training.pause();
      f.teach(training, 24);
      training.resume();
      training.wait();
      EXPECT_EQ(training.progress().state,
                i == 0 ? State::kFailed : State::kFinished);
    }
    EXPECT_EQ(told, (std::vector<std::string>{
                        "mine-v1.safetensors", "mine-v2.safetensors",
                        "mine-v2.safetensors", "mine-v3.safetensors"}));
  }
}

}  // namespace
}  // namespace ft
