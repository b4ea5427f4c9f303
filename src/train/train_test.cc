// The training loop on a tiny float model: it learns, stops, resumes and
// merges.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "methods/tiny_model.h"
#include "train/checkpoint.h"
#include "train/step.h"
#include "train/trainer.h"

namespace ft {
namespace {

constexpr size_t kSamples = 24, kFeatures = 60;

// Three classes that differ in which of two channels is bright, if any.
struct ToyData {
  std::vector<float> features;
  std::vector<int> labels;
  Samples samples;

  ToyData() {
    const Random random(5, "toy");
    for (size_t i = 0; i < kSamples; ++i) {
      labels.push_back(static_cast<int>(i % 3));
      for (size_t k = 0; k < kFeatures; ++k) {
        const bool bright = k % 2 + 1 == i % 3;
        features.push_back((bright ? 1.0f : 0.0f) +
                           0.1f * random.normal(i * kFeatures + k));
      }
    }
    samples = {.fill =
                   [this](size_t sample, int, std::span<float> out) {
                     std::copy_n(features.begin() +
                                     static_cast<ptrdiff_t>(sample * kFeatures),
                                 kFeatures, out.begin());
                   },
               .feature_size = kFeatures,
               .labels = labels,
               .targets = {},
               .target_size = 0};
  }
};

std::vector<size_t> indices(size_t first, size_t last) {
  std::vector<size_t> all;
  for (size_t i = first; i < last; ++i) all.push_back(i);
  return all;
}

struct Fixture {
  CompiledStep train, infer;
  std::vector<Session> sessions;  // training, then evaluation
  ToyData data;

  explicit Fixture(const std::string& optimizer = "adamw") {
    MethodSettings method;
    method.method = "lora";
    method.r = 2;
    method.num_classes = 3;
    settings.optimizer.optimizer = optimizer;
    settings.optimizer.lr = optimizer == "sgd" ? 0.01 : 0.05;
    settings.epochs = 60;
    settings.seed = 7;
    train = compile_training(tiny_model(2), {.method = method,
                                             .optimizer = settings.optimizer,
                                             .loss = Loss::kSoftmaxCrossEntropy,
                                             .plan = {}})
                .value();
    infer = compile_inference(tiny_model(1), method, {}).value();
    sessions.push_back(Session::create(train.program).value());
    sessions.push_back(
        Session::create_sharing(infer.program, sessions[0]).value());
  }

  Trainer trainer() {
    return Trainer(sessions[0], std::span(sessions).subspan(1), data.samples,
                   indices(0, 18), indices(18, kSamples), Task::kClassification,
                   settings);
  }
  std::vector<std::byte> params() {
    const auto region = sessions[0].all_persistent();
    return {region.begin(), region.end()};
  }

  TrainSettings settings;
};

const auto kAlways = [](const Progress&) { return true; };

TEST(Trainer, LearnsAndKeepsTheBestEpoch) {
  for (const char* optimizer : {"adamw", "sgd"}) {
    Fixture run(optimizer);
    Trainer trainer = run.trainer();
    const auto stop = trainer.run(kAlways);
    ASSERT_TRUE(stop.ok()) << stop.status().message();
    EXPECT_EQ(*stop, StopReason::kFinished);
    const auto& history = trainer.state().history;
    EXPECT_EQ(history.size(), 60u);
    EXPECT_LT(trainer.state().best_loss, 0.8 * history[0].val_loss)
        << optimizer;
    const auto e =
        evaluate(std::span(run.sessions).subspan(1), run.data.samples,
                 indices(18, kSamples), Task::kClassification);
    ASSERT_TRUE(e.ok());
    // Plain SGD has not finished after so few steps; AdamW has.
    EXPECT_GE(e->accuracy, optimizer == std::string("adamw") ? 1.0 : 0.6);
    EXPECT_NEAR(e->loss, trainer.state().best_loss, 1e-12);
  }
}

TEST(Trainer, ResumesFromACheckpointWithEqualBits) {
  const std::string path =
      (std::filesystem::temp_directory_path() / "ft_train_test.ckpt").string();
  Fixture whole;
  Trainer uninterrupted = whole.trainer();
  ASSERT_TRUE(uninterrupted.run(kAlways).ok());

  Fixture first;
  Trainer stopped = first.trainer();
  const auto stop = stopped.run([](const Progress& p) { return p.step < 40; });
  ASSERT_EQ(stop.value(), StopReason::kInterrupted);
  ASSERT_TRUE(CheckpointWriter(path, "fingerprint")
                  .save(first.sessions[0].all_persistent(), stopped.state())
                  .ok());
  EXPECT_LE(std::filesystem::file_size(path),
            first.sessions[0].all_persistent().size() + 1024);
  Fixture second;
  Trainer resumed = second.trainer();
  auto state =
      load_checkpoint(path, "fingerprint", second.sessions[0].all_persistent());
  ASSERT_TRUE(state.ok()) << state.status().message();
  resumed.resume(std::move(state).value());
  ASSERT_TRUE(resumed.run(kAlways).ok());
  EXPECT_EQ(second.params(), whole.params());

  const auto other =
      load_checkpoint(path, "another run", second.sessions[0].all_persistent());
  EXPECT_EQ(other.status().code(), Code::kInvalidInput);
  ASSERT_TRUE(remove_checkpoint(path).ok());
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(path + ".history"));
}

TEST(Trainer, ADivergedRunStopsAtThatStepWithFiniteParameters) {
  Fixture run("sgd");
  run.settings.optimizer.lr = 1e3;
  run.settings.optimizer.schedule = "constant";
  Trainer trainer = run.trainer();
  EXPECT_EQ(trainer.run(kAlways).value(), StopReason::kDiverged);
  EXPECT_NE(trainer.message().find("step"), std::string::npos);
  for (const AdapterTensor& t : run.train.adapted.tensors) {
    const auto bytes =
        run.sessions[0].persistent(run.train.program.graph.value(t.param).name);
    const std::span values(reinterpret_cast<const float*>(bytes.data()),
                           bytes.size() / sizeof(float));
    for (const float v : values) ASSERT_TRUE(std::isfinite(v)) << t.name;
  }
}

TEST(Trainer, EpochsBeforeTheMethodsResultAreNotKept) {
  Fixture run;
  run.settings.optimizer.lr = 0;  // no epoch is better than the first
  run.settings.epochs = 6;
  run.settings.patience = 2;
  run.settings.first_result = 3 * 9;  // updates of three epochs
  Trainer trainer = run.trainer();
  EXPECT_EQ(trainer.run(kAlways).value(), StopReason::kPatience);
  EXPECT_EQ(trainer.state().best_epoch, 2);
  EXPECT_EQ(trainer.state().history.size(), 5u);
  run.settings.first_result = 6 * 9 + 1;
  const Status status = run.trainer().check();
  EXPECT_EQ(status.code(), Code::kUsage);
  EXPECT_NE(status.message().find("update 55"), std::string::npos);
}

TEST(Trainer, CountsUpdatesOfWholeBatches) {
  EXPECT_EQ(count_updates(19, 2, 1, 3), 27);
  EXPECT_EQ(count_updates(19, 2, 4, 3), 6);
  EXPECT_EQ(count_updates(1, 2, 1, 3), 0);
}

TEST(Trainer, StopsWithoutImprovement) {
  Fixture run;
  run.settings.optimizer.lr = 0;
  run.settings.patience = 2;
  Trainer trainer = run.trainer();
  EXPECT_EQ(trainer.run(kAlways).value(), StopReason::kPatience);
  EXPECT_EQ(trainer.state().history.size(), 3u);
}

TEST(Trainer, RefusesLabelsThatTheModelDoesNotKnow) {
  Fixture run;
  run.data.labels[3] = 5;
  run.data.samples.labels = run.data.labels;
  const Status status = run.trainer().check();
  EXPECT_EQ(status.code(), Code::kInvalidInput);
  EXPECT_NE(status.message().find("label 5"), std::string::npos);
}

// Computing values twice needs fewer bytes and changes no bit.
TEST(Recompute, SavesMemoryWithEqualBits) {
  StepSettings settings;
  settings.method.r = 2;
  settings.method.num_classes = 3;
  const Recompute modes[] = {Recompute::kNever, Recompute::kAlways,
                             Recompute::kAll};
  std::vector<std::byte> params[3];
  size_t arena_bytes[3];
  for (size_t mode = 0; mode < 3; ++mode) {
    settings.recompute = modes[mode];
    const CompiledStep step = compile_training(tiny_model(2), settings).value();
    Session session = Session::create(step.program).value();
    for (int i = 0; i < 3; ++i) {
      const Random random(3, static_cast<uint64_t>(i));
      for (size_t k = 0; float& v : session.input_as<float>(0))
        v = random.normal(k++);
      session.input_as<int32_t>(1)[0] = 1;
      session.input_as<int32_t>(1)[1] = 2;
      std::ranges::copy(hyper_values(settings.optimizer, i, 3),
                        session.input_as<float>(2).begin());
      session.run();
    }
    const auto region = session.all_persistent();
    params[mode].assign(region.begin(), region.end());
    arena_bytes[mode] = step.program.arena_bytes;
  }
  EXPECT_EQ(params[0], params[1]);
  EXPECT_EQ(params[0], params[2]);
  EXPECT_LT(arena_bytes[1], arena_bytes[0]);
  EXPECT_LT(arena_bytes[2], arena_bytes[1]);
}

// Any budget down to that of computing all again is met, and not one below.
TEST(Recompute, MeetsEveryBudgetThatItCan) {
  StepSettings settings;
  settings.method.r = 2;
  settings.recompute = Recompute::kAll;
  const size_t least =
      compile_training(tiny_model(2), settings)->program.ram_bytes();
  settings.recompute = Recompute::kNever;
  const size_t most =
      compile_training(tiny_model(2), settings)->program.ram_bytes();
  ASSERT_LT(least, most);
  settings.recompute = Recompute::kIfNeeded;
  std::vector<size_t> budgets = {most - 1, most};
  for (size_t b = least; b < most; b += 64) budgets.push_back(b);
  for (const size_t budget : budgets) {
    settings.ram_bytes = budget;
    const auto step = compile_training(tiny_model(2), settings);
    ASSERT_TRUE(step.ok()) << step.status().message();
    EXPECT_LE(step->program.ram_bytes(), budget);
  }
  settings.ram_bytes = least - 1;
  const Status status = compile_training(tiny_model(2), settings).status();
  EXPECT_EQ(status.code(), Code::kDoesNotFit);
  EXPECT_NE(status.message().find(std::to_string(least)), std::string::npos)
      << status.message();
}

TEST(Evaluate, AreaUnderRocKnowsTiesAndOrder) {
  const std::vector<int> labels = {0, 0, 1, 1};
  EXPECT_EQ(area_under_roc(std::vector<double>{1, 2, 3, 4}, labels), 1.0);
  EXPECT_EQ(area_under_roc(std::vector<double>{4, 3, 2, 1}, labels), 0.0);
  EXPECT_EQ(area_under_roc(std::vector<double>{1, 1, 1, 1}, labels), 0.5);
  EXPECT_EQ(area_under_roc(std::vector<double>{1, 3, 2, 4}, labels), 0.75);
}

TEST(Optimizer, RefusesWordsAndNumbersOutOfRange) {
  OptimizerSettings s;
  EXPECT_TRUE(check_optimizer(s).ok());
  s.optimizer = "lion";
  EXPECT_NE(check_optimizer(s).message().find("adamw, adamw8bit, sgd"),
            std::string::npos);
  s = {};
  s.lr = -1;
  EXPECT_EQ(check_optimizer(s).code(), Code::kUsage);
}

TEST(Optimizer, CosineScheduleWithWarmup) {
  OptimizerSettings s;
  s.lr = 1;
  s.warmup_steps = 10;
  EXPECT_FLOAT_EQ(hyper_values(s, 0, 110)[0], 0.1f);
  EXPECT_FLOAT_EQ(hyper_values(s, 10, 110)[0], 1.0f);
  EXPECT_NEAR(hyper_values(s, 60, 110)[0], 0.5, 1e-6);
  EXPECT_NEAR(hyper_values(s, 109, 110)[0], 0.0, 1e-3);
}

}  // namespace
}  // namespace ft
