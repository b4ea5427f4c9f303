// Integer training on int8 models has the gradients of mixed training, and it
// learns.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "exec/session.h"
#include "ops/all_ops.h"
#include "ops/append.h"
#include "tests/integer_models.h"
#include "train/answers.h"
#include "train/step.h"
#include "train/trainer.h"

namespace ft {
namespace {

// Parameters with the part that only updates see.
std::vector<double> fine_values(Session& s, const AdapterTensor& t) {
  const Value& param = s.program().graph.value(t.param);
  const std::vector<float> coarse = adapter_values(s, t);
  std::vector<double> values(coarse.begin(), coarse.end());
  const auto residual = s.persistent(param.name + "/residual");
  if (residual.empty()) return values;
  const auto exponent = s.persistent(param.name + "/exponent");
  const auto* low = reinterpret_cast<const int16_t*>(residual.data());
  const int e = *reinterpret_cast<const int32_t*>(exponent.data());
  const std::vector<float>& units = param.type.quant.scale;
  for (size_t k = 0; k < values.size(); ++k)
    values[k] += std::ldexp(low[k], e - 16) *
                 static_cast<double>(units[units.size() > 1 ? k : 0]);
  return values;
}

// How large random parameters are. LoRA's B must not be zero, or A has no
// gradient; VeRA's are products of two small ones unless they are large; noise
// on whole weights drives every later activation.
float size_of_noise(const std::string& method) {
  if (method == "vera") return 0.5f;
  return method == "full" ? 0.002f : 0.02f;
}

// A step must stay in the range of the small numbers that it starts from.
float small_rate(const std::string& method, bool classes) {
  if (classes) return 1e-3f;
  return method == "full" ? 1e-7f : 1e-5f;
}

// Inputs share memory with what a run computes: they are written for each.
void write_inputs(Session& s, bool classes, int32_t label) {
  const Random random(2, "inputs");
  for (size_t k = 0; std::byte & b : s.input(0))
    b = static_cast<std::byte>(random.bits(k++) % 160);
  const TensorType& target = s.program().inputs[1].type;
  if (classes) {
    s.input_as<int32_t>(1)[0] = 0;
    s.input_as<int32_t>(1)[1] = label;
    return;
  }
  write_features(s.input(1), target, 0,
                 std::vector<float>(
                     static_cast<size_t>(target.shape.num_elements()), 0.5f));
}

// One update of plain SGD, after as many runs as it accumulates; of each the
// label is another one.
void run_update(Session& s, const OptimizerSettings& opt, bool classes) {
  const int64_t runs = opt.accumulate;
  for (int64_t run = 0; run < runs; ++run) {
    write_inputs(s, classes, static_cast<int32_t>((3 + run) % 5));
    if (s.program().inputs[2].type.dtype == DType::kS32)
      std::ranges::copy(integer_hyper_values(opt, run, runs, 0),
                        s.input_as<int32_t>(2).begin());
    else
      std::ranges::copy(hyper_values(opt, run, runs),
                        s.input_as<float>(2).begin());
    s.run();
  }
}

// One plain step of SGD moves every parameter by its gradient.
std::vector<std::vector<double>> gradients(const Graph& base, const char* name,
                                           Precision precision,
                                           int64_t accumulate = 1,
                                           double update_fraction = 1) {
  const bool classes = natural_loss(base, {}) != Loss::kMse;
  const MethodSettings method = settings_of(name, classes ? 5 : 0);
  const float lr = small_rate(name, classes);
  const OptimizerSettings opt{.optimizer = "sgd",
                              .lr = static_cast<double>(lr),
                              .momentum = 0,
                              .schedule = "constant",
                              .accumulate = accumulate,
                              .update_fraction = update_fraction};
  auto step = compile_training(base, {.method = method,
                                      .optimizer = opt,
                                      .loss = natural_loss(base, method),
                                      .plan = {},
                                      .precision = precision});
  EXPECT_TRUE(step.ok()) << step.status().message();
  // The step of a difference would drown in a sum with the base's own weight.
  for (AdapterTensor& t : step->adapted.tensors) t.offset.clear();
  const bool gains = name == std::string("ia3");  // about 1
  const float scale = size_of_noise(name);
  for (const AdapterTensor& t : step->adapted.tensors) {
    if (t.param == kNone) continue;                      // a mask
    if (t.name.ends_with("magnitude_vector")) continue;  // those of the base
    const Random random(1, t.name);
    const Shape shape = step->program.graph.value(t.param).type.shape;
    std::vector<float> values(static_cast<size_t>(shape.num_elements()));
    for (size_t k = 0; k < values.size(); ++k)
      values[k] = (gains ? 1.0f : 0.0f) + scale * random.normal(k);
    set_adapter_values(step->program.graph, t, values);
  }
  Session s = Session::create(step->program).value();
  std::vector<std::vector<double>> before, moved;
  std::erase_if(step->adapted.tensors,
                [](const AdapterTensor& t) { return !t.trainable; });
  for (const AdapterTensor& t : step->adapted.tensors)
    before.push_back(fine_values(s, t));
  run_update(s, opt, classes);
  for (size_t i = 0; i < before.size(); ++i) {
    moved.push_back(fine_values(s, step->adapted.tensors[i]));
    for (size_t k = 0; k < moved[i].size(); ++k)
      moved[i][k] = (before[i][k] - moved[i][k]) / static_cast<double>(lr);
  }
  return moved;
}

void expect_equal_gradients(const std::vector<std::vector<double>>& mixed,
                            const std::vector<std::vector<double>>& integer,
                            double tolerance = 0.05) {
  ASSERT_EQ(mixed.size(), integer.size());
  for (size_t i = 0; i < mixed.size(); ++i) {
    double dot = 0, a = 0, b = 0;
    for (size_t k = 0; k < mixed[i].size(); ++k) {
      dot += mixed[i][k] * integer[i][k];
      a += std::pow(mixed[i][k], 2);
      b += std::pow(integer[i][k], 2);
    }
    // The forward passes differ too, where a side's rounding flips a bit.
    EXPECT_GE(dot / std::sqrt(a * b), 0.98) << "tensor " << i;
    EXPECT_NEAR(std::sqrt(b / a), 1, tolerance) << "tensor " << i;
  }
}

TEST(IntegerTraining, GradientsAreThoseOfMixed) {
  const std::pair<const char*, const char*> cases[] = {
      {"demo", "lora"},        {"demo", "lora biases"},
      {"demo", "vera"},        {"demo", "bitfit"},
      {"demo", "bottleneck"},  {"demo", "parallel"},
      {"demo", "sparse"},      {"demo", "sparse channels"},
      {"demo", "ia3"},         {"demo", "full"},
      {"demo", "block-lora"},  {"ad01_int8", "block-lora"},
      {"demo", "dora"},        {"pretrainedResnet_quant", "dora"},
      {"ad01_int8", "full"},   {"ad01_int8", "ia3"},
      {"ad01_int8", "lora"},   {"ad01_int8", "lora biases"},
      {"ad01_int8", "bitfit"}, {"pretrainedResnet_quant", "lora"}};
  for (const auto& [model, method] : cases) {
#ifdef FT_SANITIZED  // the same kernels, ten times as slow
    if (model != std::string("demo")) continue;
#endif
    if (!std::filesystem::exists(model_path(model))) continue;
    SCOPED_TRACE(method);
    SCOPED_TRACE(model);
    const auto base = load_base(model_path(model), Precision::kMixed, 2);
    ASSERT_TRUE(base.ok());
    expect_equal_gradients(
        gradients(base->graph, method, Precision::kMixed),
        gradients(base->graph, method, Precision::kInteger),
        // Gains of 15 bits flip three times as many activations.
        method == std::string("dora") ? 0.08 : 0.05);
  }
}

// DoRA's magnitudes have units of their own.
TEST(IntegerTraining, AccumulatedGradientsAreThoseOfMixed) {
  const auto base = load_base(model_path("demo"), Precision::kMixed, 2);
  ASSERT_TRUE(base.ok());
  for (const char* method : {"lora", "dora"})
    expect_equal_gradients(
        gradients(base->graph, method, Precision::kMixed, 3),
        gradients(base->graph, method, Precision::kInteger, 3), 0.08);
}

// Samples of four classes: noise with a bright patch in one quarter.
struct Patches {
  std::vector<int> labels;
  Samples samples;

  explicit Patches(size_t count) {
    for (size_t i = 0; i < count; ++i)
      labels.push_back(static_cast<int>(i % 4));
    samples = {.fill =
                   [](size_t sample, int, std::span<float> out) {
                     const Random random(sample, "patches");
                     for (size_t k = 0; k < out.size(); ++k)
                       out[k] = 4 * random.normal(k) +
                                (k * 4 / out.size() == sample % 4 ? 12.0f : 0);
                   },
               .feature_size = 490,
               .labels = labels,
               .targets = {},
               .target_size = 0};
  }
};

struct Outcome {
  double accuracy, loss;
  std::vector<std::vector<float>> adapter;
};

Outcome train_demo(const MethodSettings& method, Precision precision,
                   const std::string& optimizer, uint64_t seed) {
  auto base = load_base(model_path("demo"), precision, 1);
  OptimizerSettings opt{.optimizer = optimizer,
                        .lr = optimizer == "sgd" ? 0.01 : 0.005};
  auto step = compile_training(base->graph, {.method = method,
                                             .optimizer = opt,
                                             .loss = Loss::kSoftmaxCrossEntropy,
                                             .plan = {},
                                             .precision = precision});
  auto infer = compile_inference(base->graph, method, {}, precision);
  EXPECT_TRUE(step.ok() && infer.ok());
  Session session = Session::create(step->program).value();
  std::vector<Session> eval;
  eval.push_back(Session::create_sharing(infer->program, session).value());
  const Patches data(96);
  std::vector<size_t> train, test;
  for (size_t i = 0; i < 96; ++i) (i < 24 ? train : test).push_back(i);
  Trainer trainer(session, eval, data.samples, train, {}, Task::kClassification,
                  {.epochs = 5, .seed = seed, .patience = 0, .optimizer = opt});
  const auto stop = trainer.run([](const Progress&) { return true; });
  EXPECT_TRUE(stop.ok()) << stop.status().message();
  const auto e = evaluate(eval, data.samples, test, Task::kClassification);
  EXPECT_TRUE(e.ok());
  Outcome out{e->accuracy, trainer.state().history.back().train_loss, {}};
  for (const AdapterTensor& t : step->adapted.tensors)
    out.adapter.push_back(adapter_values(session, t));
  return out;
}

TEST(IntegerTraining, UpdatesTheEntriesWithTheLargestGradients) {
  const auto base = load_base(model_path("demo"), Precision::kInteger, 1);
  ASSERT_TRUE(base.ok());
  const auto all = gradients(base->graph, "lora", Precision::kInteger);
  const auto some =
      gradients(base->graph, "lora", Precision::kInteger, 1, 0.25);
  ASSERT_EQ(all.size(), some.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const size_t kept = (all[i].size() + 3) / 4;
    size_t moved = 0;
    double least = INFINITY, left = 0;
    for (size_t k = 0; k < all[i].size(); ++k) {
      const double g = std::fabs(all[i][k]);
      if (some[i][k] != 0) {
        ++moved;
        EXPECT_EQ(some[i][k], all[i][k]);
        least = std::min(least, g);
      } else {
        left = std::max(left, g);
      }
    }
    EXPECT_LE(moved, kept);
    if (moved == kept) {
      EXPECT_GE(least, left * 0.999) << "tensor " << i;
    }
  }
}

// Means over seeds: a sample of the test is 1.4 points.
Outcome mean_of_seeds(const MethodSettings& method, Precision precision,
                      const std::string& optimizer) {
  constexpr int kSeeds = 2;
  Outcome mean{0, 0, {}};
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Outcome one = train_demo(method, precision, optimizer, seed);
    mean.accuracy += one.accuracy / kSeeds;
    mean.loss += one.loss / kSeeds;
  }
  return mean;
}

TEST(IntegerTraining, LearnsLikeMixed) {
  FT_SKIP_SANITIZED();
  const std::pair<const char*, const char*> cases[] = {
      {"lora", "adamw"}, {"lora", "sgd"}, {"ia3", "adamw"}};
  for (const auto& [name, optimizer] : cases) {
    const MethodSettings method = settings_of(name, 4);
    const Outcome mixed = mean_of_seeds(method, Precision::kMixed, optimizer);
    const Outcome integer =
        mean_of_seeds(method, Precision::kInteger, optimizer);
    SCOPED_TRACE(name);
    std::printf("%s, %s: mixed %.3f (loss %.3f), integer %.3f (loss %.3f)\n",
                name, optimizer, mixed.accuracy, mixed.loss, integer.accuracy,
                integer.loss);
    EXPECT_GE(integer.accuracy, mixed.accuracy - 0.1) << optimizer;
    EXPECT_LT(integer.loss, std::log(4)) << optimizer;
    EXPECT_NEAR(integer.loss, mixed.loss, 0.1 * mixed.loss + 0.05) << optimizer;
  }
}

TEST(IntegerTraining, RepeatsItself) {
  FT_SKIP_SANITIZED();
  const MethodSettings method = settings_of("lora", 4);
  const auto train = [&method] {
    return train_demo(method, Precision::kInteger, "adamw", 3).adapter;
  };
  EXPECT_EQ(train(), train());
}

// A temporal net of int8 ops: padding in time, dilated convolutions side by
// side, their sum and their concatenation.
class Tcn {
 public:
  Tcn() {
    const ValueId x = graph_.add_input("x", type({1, 1, 12, 4}));
    const ValueId left = conv(padded(x, 2), "left", 4, 4, 1);
    const ValueId right = conv(padded(x, 4), "right", 4, 4, 2);
    const ValueId sum =
        add(ops::kBinary, {left, right}, {{"kind", "add"}}, "sum");
    const ValueId both =
        add(ops::kConcat, {sum, left}, {{"axis", 3}}, "concat");
    const ValueId mirror = add(ops::kPad, {both},
                               {{"before", Ints{0, 0, 2, 0}},
                                {"after", Ints{0, 0, 0, 0}},
                                {"mode", "reflect"}},
                               "mirror");
    const ValueId top = conv(mirror, "top", 8, 3, 1);
    graph_.outputs = {add(ops::kFullyConnected,
                          {top, weight("fc/w", {5, 36}, 36), kNone}, {}, "fc")};
  }
  const Graph& graph() const { return graph_; }

 private:
  using Ints = std::vector<int64_t>;
  static TensorType type(const Shape& shape) {
    return {.dtype = DType::kS8,
            .shape = shape,
            .quant = QuantParams::per_tensor(0.02f, 3)};
  }
  ValueId add(const OpDef& op, const std::vector<ValueId>& inputs,
              const Attrs& attrs, const std::string& name) {
    const auto y = append(graph_, op, inputs, attrs,
                          {.name = name, .out_quant = {type({1}).quant}});
    EXPECT_TRUE(y.ok()) << y.status().message();
    return y.ok() ? *y : kNone;
  }
  ValueId weight(const std::string& name, const Shape& shape, int64_t fan_in) {
    const Random random(4, name);
    std::vector<int8_t> q(static_cast<size_t>(shape.num_elements()));
    for (size_t i = 0; i < q.size(); ++i)
      q[i] = static_cast<int8_t>(static_cast<int>(random.below(i, 255)) - 127);
    const float scale = 0.02f / std::sqrt(static_cast<float>(fan_in));
    return graph_.add_owned(ValueKind::kConstant, name,
                            {.dtype = DType::kS8,
                             .shape = shape,
                             .quant = QuantParams::per_tensor(scale, 0)},
                            q);
  }
  ValueId padded(ValueId x, int64_t before) {
    return add(ops::kPad, {x},
               {{"before", Ints{0, 0, before, 0}}, {"after", Ints{0, 0, 0, 0}}},
               "pad" + std::to_string(before));
  }
  ValueId conv(ValueId x, const std::string& name, int64_t in, int64_t out,
               int64_t dilation) {
    return add(ops::kConv2d,
               {x, weight(name + "/w", {out, 1, 3, in}, 3 * in), kNone},
               {{"dilation_w", dilation}}, name);
  }
  Graph graph_;
};

TEST(IntegerTraining, GradientsOfATemporalNetAreThoseOfMixed) {
  const Tcn tcn;
  for (const char* method : {"lora", "parallel", "ia3"}) {
    SCOPED_TRACE(method);
    expect_equal_gradients(gradients(tcn.graph(), method, Precision::kMixed),
                           gradients(tcn.graph(), method, Precision::kInteger));
  }
}

TEST(IntegerTraining, RefusesAFloatModelByName) {
  const std::string path =
      shared_path("models/mlperf_tiny/kws_ref_model_float32.tflite");
  FT_SKIP_WITHOUT(path);
  auto base = load_base(path, Precision::kInteger, 1);
  ASSERT_TRUE(base.ok());
  const auto step =
      compile_training(base->graph, {.method = settings_of("lora", 3),
                                     .optimizer = {},
                                     .loss = Loss::kSoftmaxCrossEntropy,
                                     .plan = {},
                                     .precision = Precision::kInteger});
  ASSERT_FALSE(step.ok());
  EXPECT_EQ(step.status().code(), Code::kInvalidInput);
  EXPECT_NE(step.status().message().find("integer training"),
            std::string::npos);
}

}  // namespace
}  // namespace ft
