#include "train/sensitivity.h"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstring>

#include "methods/tiny_model.h"
#include "train/answers.h"

namespace ft {
namespace {

constexpr size_t kSamples = 3;
constexpr int kRows = 20, kColumns = 12;

// Samples of the tiny model with labels 0, 1, 2.
struct Data {
  std::vector<int> labels = {0, 1, 2};
  Samples samples;
  MaskSamples mask;

  explicit Data(size_t features = 60)
      : samples{.fill =
                    [](size_t sample, int, std::span<float> x) {
                      const Random random(5, sample);
                      for (size_t k = 0; float& v : x) v = random.normal(k++);
                    },
                .feature_size = features,
                .labels = labels,
                .targets = {}},
        mask{samples, {0, 1, 2}, Task::kClassification} {}
};

bool always(int64_t, int64_t) { return true; }

// A layer with more outputs than inputs, and a head.
Graph wide_model() {
  Graph g;
  const ValueId x = g.add_input("x", f32_type({1, kColumns}));
  const ValueId wide = *append(g, ops::kFullyConnected,
                               {x, tiny_weight(g, "wide/w", {kRows, kColumns})},
                               {{"act", FT_ACT_RELU}}, {.name = "wide"});
  const ValueId fc =
      *append(g, ops::kFullyConnected,
              {wide, tiny_weight(g, "head/w", {3, kRows})}, {}, {.name = "fc"});
  g.outputs = {*append(g, ops::kSoftmax, {fc}, {{"beta", 1.0}})};
  return g;
}

const LayerSensitivity& layer(const Sensitivity& s, std::string_view name) {
  return *std::ranges::find(s.layers, name, &LayerSensitivity::module);
}

double loss_of(const Graph& graph, const Data& data, size_t sample) {
  const CompiledStep step = compile_base(graph, {}).value();
  Session session = Session::create(step.program).value();
  data.samples.fill(sample, 0, session.input_as<float>(0));
  session.run();
  return -std::log(static_cast<double>(
      session.output_as<float>(0)[static_cast<size_t>(data.labels[sample])]));
}

// dL/dW [rows, columns] by central differences of the base alone.
Eigen::MatrixXd differences(Graph graph, const Data& data, size_t sample,
                            const char* weight, const LayerSensitivity& s) {
  ValueId id = kNone;
  for (ValueId v = 0; v < graph.num_values(); ++v)
    if (graph.value(v).name == weight) id = v;
  std::vector<float> w(static_cast<size_t>(s.rows * s.columns));
  std::memcpy(w.data(), graph.value(id).data.data(), sizeof(float) * w.size());
  Eigen::MatrixXd g(s.rows, s.columns);
  constexpr float kStep = 1e-2f;
  for (size_t i = 0; i < w.size(); ++i) {
    double ends[2];
    for (const int side : {0, 1}) {
      std::vector<float> moved = w;
      moved[i] += side == 0 ? -kStep : kStep;
      graph.value(id).data = graph.own(std::as_bytes(std::span(moved)));
      ends[side] = loss_of(graph, data, sample);
    }
    const auto k = static_cast<int64_t>(i);
    const double slope = (ends[1] - ends[0]) / (2 * static_cast<double>(kStep));
    if (s.kind == "depthwise_conv2d")
      g(k % s.rows, k / s.rows) = slope;
    else
      g(k / s.columns, k % s.columns) = slope;
  }
  return g;
}

// With a sketch as wide as the weight nothing is estimated.
TEST(Sensitivity, IsThatOfFiniteDifferences) {
  const Data data(kColumns);
  const auto got = measure_sensitivity(wide_model(), {}, data.mask, always);
  ASSERT_TRUE(got.ok()) << got.status().message();
  const LayerSensitivity& s = layer(*got, "wide");
  ASSERT_EQ(s.r, s.columns);
  Eigen::MatrixXd mean = Eigen::MatrixXd::Zero(kRows, kColumns);
  Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(kColumns, kColumns);
  Eigen::VectorXd channels = Eigen::VectorXd::Zero(kRows);
  for (size_t i = 0; i < kSamples; ++i) {
    const Eigen::MatrixXd g = differences(wide_model(), data, i, "wide/w", s);
    mean += g;
    gram += g.transpose() * g;
    channels += g.rowwise().squaredNorm();
  }
  const double energy = gram.trace();
  EXPECT_NEAR(s.fisher / (energy / kSamples), 1, 0.02);
  EXPECT_NEAR(s.mean_gradient / (mean.norm() / kSamples), 1, 0.02);
  for (size_t i = 0; i < kRows; ++i)
    EXPECT_NEAR(s.channels[i], channels(static_cast<int>(i)) / energy, 0.01);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram);
  for (int i = 0; i < kColumns; ++i)
    EXPECT_NEAR(s.spectrum[static_cast<size_t>(i)],
                solver.eigenvalues()(kColumns - 1 - i) / energy, 0.01);
  EXPECT_GT(s.spectrum[1], 0.02);  // three samples, several directions
}

struct Case {
  const char *module, *weight;
};

class Sketches : public testing::TestWithParam<Case> {};

// Over many sketches the energy of a layer whose sketch is narrower than its
// weight is that of the whole.
TEST_P(Sketches, AreRightOnAverage) {
  const Data data;
  double energy = 0, sum = 0;
  constexpr int kSeeds = 60;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto got = measure_sensitivity(tiny_model(1), {.r = 2, .seed = seed},
                                         data.mask, always);
    const LayerSensitivity& s = layer(*got, GetParam().module);
    sum += s.fisher / kSeeds;
    for (size_t i = 0; seed == 0 && i < kSamples; ++i)
      energy += differences(tiny_model(1), data, i, GetParam().weight, s)
                    .squaredNorm() /
                kSamples;
  }
  EXPECT_NEAR(sum / energy, 1, 0.15);
}

INSTANTIATE_TEST_SUITE_P(TinyModel, Sketches,
                         testing::Values(Case{"block/conv", "conv/w"},
                                         Case{"block/dw", "dw/w"},
                                         Case{"fc", "fc/w"}));

// A smaller budget takes more rounds and gives the same figures.
TEST(Sensitivity, KeepsItsBudget) {
  const Data data;
  const auto all =
      measure_sensitivity(tiny_model(1), {.r = 3}, data.mask, always);
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->rounds, 1);
  const size_t budget = all->ram_bytes - 1;
  const auto less = measure_sensitivity(
      tiny_model(1), {.r = 3, .ram_bytes = budget}, data.mask, always);
  ASSERT_TRUE(less.ok()) << less.status().message();
  EXPECT_LE(less->ram_bytes, budget);
  ASSERT_EQ(less->layers.size(), all->layers.size());
  for (size_t i = 0; i < all->layers.size(); ++i) {
    EXPECT_EQ(less->layers[i].module, all->layers[i].module);
    EXPECT_EQ(less->layers[i].fisher, all->layers[i].fisher);
  }
  const auto none = measure_sensitivity(
      tiny_model(1), {.r = 3, .ram_bytes = 100}, data.mask, always);
  EXPECT_EQ(none.status().code(), Code::kDoesNotFit);
}

TEST(Sensitivity, CountsSharesFromTheLargest) {
  EXPECT_EQ(count_for({0.1, 0.6, 0.3}, 0.9), 2);
  EXPECT_EQ(count_for({0.1, 0.6, 0.3}, 0.5), 1);
  EXPECT_EQ(count_for({0, 0}, 0.9), 0);
}

TEST(Sensitivity, StopsWhenAsked) {
  const Data data;
  const auto stopped =
      measure_sensitivity(tiny_model(1), {}, data.mask,
                          [](int64_t done, int64_t) { return done < 2; });
  EXPECT_EQ(stopped.status().code(), Code::kIo);
}

}  // namespace
}  // namespace ft
