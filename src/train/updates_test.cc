// Accumulation, clipping and 8-bit state inside compiled steps, against what
// they must equal: larger batches, sums by hand, unclipped gradients.
#include "train/updates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/random.h"
#include "exec/session.h"
#include "methods/tiny_model.h"
#include "train/step.h"

namespace ft {
namespace {

constexpr size_t kFeatures = 60, kTotalRuns = 64;
constexpr uint64_t kSeed = 17;

StepSettings settings_with(const OptimizerSettings& optimizer) {
  StepSettings s;
  s.method.method = "lora";
  s.method.r = 2;
  s.method.num_classes = 3;
  s.optimizer = optimizer;
  return s;
}

// A compiled step over numbered random samples.
struct Stepper {
  OptimizerSettings optimizer;
  int batch;
  CompiledStep step;
  Session session;

  static Stepper make(const OptimizerSettings& optimizer, int batch,
                      Recompute recompute = Recompute::kNever) {
    StepSettings settings = settings_with(optimizer);
    settings.recompute = recompute;
    CompiledStep step = compile_training(tiny_model(batch), settings).value();
    return Stepper(optimizer, batch, std::move(step));
  }

  Stepper(const OptimizerSettings& o, int n, CompiledStep compiled)
      : optimizer(o),
        batch(n),
        step(std::move(compiled)),
        session(Session::create(step.program).value()) {}
  Stepper(const Stepper&) = delete;
  Stepper(Stepper&& other) noexcept
      : Stepper(other.optimizer, other.batch, std::move(other.step)) {}

  void run(int64_t index, size_t first_sample) {
    const Random random(kSeed, "samples");
    for (int slot = 0; slot < batch; ++slot) {
      const size_t sample = first_sample + static_cast<size_t>(slot);
      const auto at = static_cast<size_t>(slot) * kFeatures;
      for (size_t k = 0; k < kFeatures; ++k)
        session.input_as<float>(0)[at + k] =
            random.normal(sample * kFeatures + k);
      session.input_as<int32_t>(1)[static_cast<size_t>(slot)] =
          static_cast<int32_t>(sample % 3);
    }
    const auto hyper = hyper_values(optimizer, index, kTotalRuns);
    std::ranges::copy(hyper, session.input_as<float>(2).begin());
    session.run();
  }

  // Runs 0 ... count - 1 over samples 0, 1, ...
  void run_all(int64_t count) {
    for (int64_t i = 0; i < count; ++i) run(i, static_cast<size_t>(i * batch));
  }

  std::vector<float> params() {
    std::vector<float> all;
    for (const AdapterTensor& t : step.adapted.tensors) {
      const auto bytes =
          session.persistent(step.program.graph.value(t.param).name);
      const auto* v = reinterpret_cast<const float*>(bytes.data());
      all.insert(all.end(), v, v + bytes.size() / sizeof(float));
    }
    return all;
  }
  std::vector<std::byte> persistent() {
    const auto bytes = session.all_persistent();
    return {bytes.begin(), bytes.end()};
  }
  size_t trainable() { return params().size(); }
};

OptimizerSettings sgd(double lr) {
  OptimizerSettings o;
  o.optimizer = "sgd";
  o.momentum = 0;
  o.lr = lr;
  o.schedule = "constant";
  return o;
}

double largest_difference(const std::vector<float>& a,
                          const std::vector<float>& b) {
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i)
    most = std::max(most, std::abs(static_cast<double>(a[i]) - b[i]));
  return most;
}

// The gradient of one sample, read off a step of plain SGD with rate 1.
std::vector<double> gradient_of(size_t sample) {
  Stepper one = Stepper::make(sgd(1), 1);
  const std::vector<float> before = one.params();
  one.run(0, sample);
  const std::vector<float> after = one.params();
  std::vector<double> gradient(before.size());
  for (size_t i = 0; i < before.size(); ++i)
    gradient[i] = static_cast<double>(before[i]) - after[i];
  return gradient;
}

double norm_of(const std::vector<double>& v) {
  double sum = 0;
  for (const double x : v) sum += x * x;
  return std::sqrt(sum);
}

TEST(Accumulate, EqualsABatchAsLarge) {
  for (const char* name : {"sgd", "adamw", "adamw8bit"}) {
    OptimizerSettings o;
    o.optimizer = name;
    o.lr = 0.01;
    o.warmup_steps = 2;
    o.eps = 1e-3;  // noise in place of a zero gradient must not be a sign
    OptimizerSettings accumulating = o;
    accumulating.accumulate = 4;
    Stepper large = Stepper::make(o, 8), small = Stepper::make(accumulating, 2);
    const std::vector<float> start = large.params();
    for (int64_t i = 0; i < 3; ++i) {
      const auto hyper = hyper_values(o, i, kTotalRuns / 4);
      EXPECT_EQ(hyper, hyper_values(accumulating, 4 * i + 3, kTotalRuns));
      EXPECT_EQ(hyper_values(accumulating, 4 * i, kTotalRuns)[3], 1.0f);
    }
    o.schedule = accumulating.schedule = "constant";
    large.optimizer = o;
    small.optimizer = accumulating;
    large.run_all(3);
    small.run_all(12);
    EXPECT_GT(largest_difference(large.params(), start), 1e-3) << name;
    // An 8-bit code may fall on the other side of its border.
    EXPECT_LT(largest_difference(large.params(), small.params()),
              name == std::string("adamw8bit") ? 1e-3 : 1e-6)
        << name;
  }
}

TEST(Accumulate, HoldsEverythingButTheSumsBetweenUpdates) {
  OptimizerSettings o;
  o.accumulate = 3;
  Stepper run = Stepper::make(o, 1);
  const std::vector<float> start = run.params();
  run.run_all(2);
  EXPECT_EQ(run.params(), start);
  run.run(2, 2);
  EXPECT_NE(run.params(), start);
  // One more float32 for each trainable value, and it is said in the plan.
  const size_t extra = run.step.program.persistent_bytes -
                       Stepper::make({}, 1).step.program.persistent_bytes;
  EXPECT_GE(extra, 4 * run.trainable());
  EXPECT_LT(extra, 4 * run.trainable() + 16 * run.step.adapted.tensors.size());
}

TEST(ClipNorm, ScalesAllGradientsTogether) {
  const std::vector<double> g = gradient_of(0);
  const double norm = norm_of(g);
  for (const double limit : {0.5 * norm, 2 * norm}) {
    OptimizerSettings o = sgd(1);
    o.max_grad_norm = limit;
    Stepper clipped = Stepper::make(o, 1);
    const std::vector<float> before = clipped.params();
    clipped.run(0, 0);
    const double factor = std::min(1.0, limit / (norm + 1e-6));
    for (size_t i = 0; i < g.size(); ++i)
      EXPECT_NEAR(before[i] - clipped.params()[i], factor * g[i], 1e-6);
  }
}

TEST(ClipValue, HoldsEveryElement) {
  const std::vector<double> g = gradient_of(1);
  OptimizerSettings o = sgd(1);
  o.clip_value = 0.01;
  Stepper clipped = Stepper::make(o, 1);
  const std::vector<float> before = clipped.params();
  clipped.run(0, 1);
  for (size_t i = 0; i < g.size(); ++i)
    EXPECT_NEAR(before[i] - clipped.params()[i], std::clamp(g[i], -0.01, 0.01),
                1e-6);
}

TEST(ClipPerSample, ClipsEachSampleBeforeTheSum) {
  constexpr int kSamples = 4;
  std::vector<std::vector<double>> gradients;
  double limit = 0;
  for (size_t s = 0; s < kSamples; ++s) {
    gradients.push_back(gradient_of(s));
    limit += norm_of(gradients.back()) / kSamples;  // some above, some below
  }
  OptimizerSettings o = sgd(1);
  o.accumulate = kSamples;
  o.clip_per_sample = limit;
  Stepper clipped = Stepper::make(o, 1);
  const std::vector<float> before = clipped.params();
  clipped.run_all(kSamples);
  for (size_t i = 0; i < before.size(); ++i) {
    double mean = 0;
    for (const auto& g : gradients)
      mean += std::min(1.0, limit / (norm_of(g) + 1e-6)) * g[i] / kSamples;
    EXPECT_NEAR(before[i] - clipped.params()[i], mean, 1e-6);
  }
}

// The entries of each tensor that a step by their gradients moves.
std::vector<bool> largest_of(const CompiledStep& step,
                             const std::vector<double>& gradient,
                             double fraction) {
  std::vector<bool> largest(gradient.size(), false);
  size_t first = 0;
  for (const AdapterTensor& t : step.adapted.tensors) {
    const auto n = static_cast<size_t>(
        step.program.graph.value(t.param).type.shape.num_elements());
    std::vector<size_t> order(n);
    std::iota(order.begin(), order.end(), first);
    std::ranges::stable_sort(order, [&](size_t a, size_t b) {
      return std::abs(gradient[a]) > std::abs(gradient[b]);
    });
    order.resize(
        static_cast<size_t>(std::ceil(fraction * static_cast<double>(n))));
    for (const size_t i : order) largest[i] = true;
    first += n;
  }
  return largest;
}

TEST(UpdateFraction, MovesTheLargestEntriesOfTheSumOfRuns) {
  const double fraction = 0.3;
  const std::vector<double> one = gradient_of(0), two = gradient_of(1);
  std::vector<double> mean(one.size());
  for (size_t i = 0; i < one.size(); ++i) mean[i] = (one[i] + two[i]) / 2;
  OptimizerSettings o = sgd(1);
  o.accumulate = 2;
  o.update_fraction = fraction;
  o.clip_value = 0.05;  // after the choice, which it would make one of equals
  Stepper run = Stepper::make(o, 1);
  const std::vector<bool> largest = largest_of(run.step, mean, fraction);
  const std::vector<float> before = run.params();
  run.run_all(2);
  const std::vector<float> after = run.params();
  for (size_t i = 0; i < mean.size(); ++i) {
    if (!largest[i]) {
      EXPECT_EQ(after[i], before[i]) << i;
    }
    const double moved = largest[i] ? std::clamp(mean[i], -0.05, 0.05) : 0;
    EXPECT_NEAR(before[i] - after[i], moved, 1e-6) << i;
  }
}

TEST(UpdateFraction, ANormIsThatOfWhatIsKept) {
  std::vector<double> g = gradient_of(0);
  OptimizerSettings o = sgd(1);
  o.max_grad_norm = 1e-3;
  o.update_fraction = 0.1;
  Stepper run = Stepper::make(o, 1);
  const std::vector<bool> largest = largest_of(run.step, g, 0.1);
  for (size_t i = 0; i < g.size(); ++i)
    if (!largest[i]) g[i] = 0;
  const std::vector<float> before = run.params();
  run.run(0, 0);
  for (size_t i = 0; i < g.size(); ++i)
    EXPECT_NEAR(before[i] - run.params()[i], 1e-3 / (norm_of(g) + 1e-6) * g[i],
                1e-6);
}

TEST(UpdateFraction, LeavesTheMomentsOfOtherEntries) {
  OptimizerSettings o;
  o.update_fraction = 0.2;
  o.weight_decay = 0.1;
  Stepper run = Stepper::make(o, 1);
  run.run_all(1);
  const std::vector<double> g = gradient_of(0);
  const std::vector<bool> largest = largest_of(run.step, g, 0.2);
  std::vector<float> moments;
  for (const AdapterTensor& t : run.step.adapted.tensors) {
    const auto bytes = run.session.persistent(
        run.step.program.graph.value(t.param).name + "/m");
    const auto* v = reinterpret_cast<const float*>(bytes.data());
    moments.insert(moments.end(), v, v + bytes.size() / sizeof(float));
  }
  ASSERT_EQ(moments.size(), g.size());
  for (size_t i = 0; i < g.size(); ++i)
    EXPECT_NEAR(moments[i], largest[i] ? 0.1 * g[i] : 0, 1e-6) << i;
}

// As without the choice: what is not a number is the largest.
TEST(UpdateFraction, LetsAGradientThatIsNotFiniteThrough) {
  OptimizerSettings o;
  o.update_fraction = 1e-6;
  Stepper run = Stepper::make(o, 1);
  run.run(0, 0);
  std::ranges::fill(run.session.input_as<float>(0), NAN);
  run.session.run();
  EXPECT_TRUE(
      std::ranges::any_of(run.params(), [](float v) { return std::isnan(v); }));
}

OptimizerSettings everything(const char* optimizer) {
  OptimizerSettings o;
  o.optimizer = optimizer;
  o.nesterov = optimizer == std::string("sgd");
  o.weight_decay = 0.01;
  o.accumulate = 3;
  o.clip_per_sample = 1;
  o.clip_value = 0.2;
  o.max_grad_norm = 0.5;
  o.min_8bit_size = 1;
  if (o.optimizer != "adamw8bit") o.update_fraction = 0.4;
  return o;
}

TEST(Updates, RecomputeChangesNoBitOfAnyOfThem) {
  for (const char* name : {"sgd", "adamw", "adamw8bit"}) {
    Stepper kept = Stepper::make(everything(name), 1);
    Stepper again = Stepper::make(everything(name), 1, Recompute::kAlways);
    EXPECT_LT(again.step.program.arena_bytes, kept.step.program.arena_bytes);
    kept.run_all(7);
    again.run_all(7);
    EXPECT_EQ(kept.persistent(), again.persistent()) << name;
  }
}

TEST(Updates, GoOnFromTheirPersistentBytesAnywhere) {
  for (const char* name : {"sgd", "adamw", "adamw8bit"}) {
    Stepper whole = Stepper::make(everything(name), 1);
    whole.run_all(8);
    for (const int64_t stop : {1, 3, 5}) {
      Stepper first = Stepper::make(everything(name), 1);
      first.run_all(stop);
      Stepper second = Stepper::make(everything(name), 1);
      std::ranges::copy(first.persistent(),
                        second.session.all_persistent().begin());
      for (int64_t i = stop; i < 8; ++i) second.run(i, static_cast<size_t>(i));
      EXPECT_EQ(whole.persistent(), second.persistent()) << name << stop;
    }
  }
}

TEST(Adamw8bit, StateIsAQuarterAndABitOfFloats) {
  OptimizerSettings o;
  const auto state_bytes = [&](const char* name) {
    o.optimizer = name;
    o.min_8bit_size = 1;
    size_t bytes = 0;
    const CompiledStep step =
        compile_training(tiny_model(1), settings_with(o)).value();
    for (const Binding& b : step.program.persistent)
      if (step.program.graph.value(b.value).kind == ValueKind::kState)
        bytes += b.type.num_bytes();
    return bytes;
  };
  const size_t full = state_bytes("adamw");
  const CompiledStep step =
      compile_training(tiny_model(1), settings_with(o)).value();
  size_t blocks = 0;
  for (const AdapterTensor& t : step.adapted.tensors)
    blocks += static_cast<size_t>(
        (step.program.graph.value(t.param).type.shape.num_elements() + 255) /
        256);
  EXPECT_EQ(state_bytes("adamw8bit"), full / 4 + 8 * blocks);
}

TEST(Adamw8bit, SmallTensorsKeepFloatMoments) {
  OptimizerSettings o;
  o.optimizer = "adamw8bit";
  o.min_8bit_size = 1 << 20;
  Stepper eight = Stepper::make(o, 1);
  o.optimizer = "adamw";
  Stepper full = Stepper::make(o, 1);
  eight.run_all(3);
  full.run_all(3);
  EXPECT_EQ(eight.persistent(), full.persistent());
}

TEST(OptimizerSettings, ContradictionsAreUsageErrors) {
  const auto message = [](auto&& change) {
    OptimizerSettings s;
    change(s);
    const Status status = check_optimizer(s);
    EXPECT_EQ(status.code(), Code::kUsage);
    return status.message();
  };
  const auto has = [](const std::string& text, const char* word) {
    EXPECT_NE(text.find(word), std::string::npos) << text;
  };
  has(message([](auto& s) { s.nesterov = true; }), "--nesterov");
  has(message([](auto& s) { s.accumulate = 0; }), "--accumulate 0");
  has(message([](auto& s) { s.max_grad_norm = -1; }), "--max-grad-norm");
  has(message([](auto& s) { s.clip_value = NAN; }), "--clip-value");
  has(message([](auto& s) { s.clip_per_sample = -1; }), "--clip-per-sample");
  has(message([](auto& s) { s.min_8bit_size = 0; }), "--min-8bit-size");
  has(message([](auto& s) { s.schedule = "step"; }), "cosine, linear");
  for (const double wrong :
       {0.0, -0.5, 1.5, std::numeric_limits<double>::quiet_NaN()})
    has(message([&](auto& s) { s.update_fraction = wrong; }),
        "--update-fraction");
  has(message([](auto& s) {
        s.update_fraction = 0.5;
        s.optimizer = "adamw8bit";
      }),
      "adamw8bit");
  has(message([](auto& s) { s.warmup_steps = -1; }), "--warmup");
}

TEST(OptimizerSettings, LinearScheduleEndsAtZero) {
  OptimizerSettings s;
  s.lr = 1;
  s.schedule = "linear";
  s.warmup_steps = 10;
  EXPECT_FLOAT_EQ(hyper_values(s, 4, 110)[0], 0.5f);
  EXPECT_FLOAT_EQ(hyper_values(s, 10, 110)[0], 1.0f);
  EXPECT_FLOAT_EQ(hyper_values(s, 60, 110)[0], 0.5f);
  EXPECT_FLOAT_EQ(hyper_values(s, 109, 110)[0], 0.01f);
}

}  // namespace
}  // namespace ft
