#include "search/search.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace ft {
namespace {

LayerSensitivity layer(const std::string& name, int64_t rows, int64_t columns,
                       double fisher, std::vector<double> spectrum) {
  LayerSensitivity s;
  s.module = name;
  s.kind = "fully_connected";
  s.rows = rows;
  s.columns = columns;
  s.fisher = fisher;
  s.spectrum = std::move(spectrum);
  return s;
}

std::vector<LayerSensitivity> three_layers() {
  return {layer("a", 64, 64, 1, {0.5, 0.3, 0.2}),
          layer("b", 8, 8, 4, {0.95, 0.05}), layer("c", 2, 64, 2, {1.0})};
}

TEST(Candidates, ManyLayersHaveNestedSetsOnly) {
  std::vector<LayerSensitivity> five = three_layers();
  five.push_back(layer("d", 8, 8, 0.1, {1.0}));
  five.push_back(layer("e", 8, 8, 0.2, {1.0}));
  for (const auto& set : layer_sets(five))
    EXPECT_TRUE(set.size() == 1 || set.size() == 2 || set.size() == 4 ||
                set.size() == 5);
  EXPECT_LE(layer_sets(five).size(), 7u);
}

TEST(Candidates, SetsAreNestedFromTheEndAndByWorthAndAllOfFew) {
  const auto sets = layer_sets(three_layers());
  const std::vector<std::vector<size_t>> want = {
      {0, 1, 2}, {2}, {1}, {1, 2}, {0}, {0, 1}, {0, 2}};
  EXPECT_EQ(sets, want);
}

TEST(Candidates, RanksFollowTilesAndSpectra) {
  CandidateSpace space{.methods = {"lora", "bitfit", "head"},
                       .precisions = {Precision::kMixed},
                       .optimizers = {"sgd"},
                       .common = {}};
  const auto groups = make_candidates(space, three_layers());
  ASSERT_EQ(groups.size(), 3u);
  for (const Candidate& c : groups[0].candidates)
    for (const LayerChoice& choice : c.plan.layers) {
      EXPECT_LE(choice.r, choice.module == "c" ? 2 : 8);
      EXPECT_TRUE(choice.r % 4 == 0 || choice.r <= 2 || choice.module == "c");
    }
  for (size_t i = 1; i < groups[0].candidates.size(); ++i)
    EXPECT_GE(groups[0].candidates[i - 1].promise,
              groups[0].candidates[i].promise);
  EXPECT_EQ(groups[1].candidates.size(), 7u);  // one for each set
  EXPECT_EQ(groups[1].candidates[0].plan.layers[0].r, 0);
  EXPECT_EQ(groups[2].candidates.size(), 1u);
  EXPECT_TRUE(groups[2].candidates[0].plan.layers.empty());
  EXPECT_DOUBLE_EQ(energy_of_ranks(three_layers()[0], 2), 0.8);
  EXPECT_DOUBLE_EQ(energy_of_ranks(three_layers()[0], 9), 1.0);
}

TEST(Finalists, CountsTrainings) {
  const HalvingSettings settings{.rounds = 3, .folds = 4, .keep_going = {}};
  EXPECT_EQ(count_trainings(72, settings), 72 * 1 + 24 * 2 + 12 * 4);
  EXPECT_EQ(count_trainings(20, settings), 20 * 1 + 12 * 2 + 12 * 4);
  EXPECT_EQ(count_trainings(3, settings), 3 * 1 + 3 * 2 + 3 * 4);
}

TEST(Finalists, CountsPartsOfTrainings) {
  HalvingSettings settings{.rounds = 3, .folds = 4, .keep_going = {}};
  EXPECT_DOUBLE_EQ(count_full_trainings(72, settings), 18 + 24 + 48);
  settings.most_more = 24;
  EXPECT_EQ(count_trainings(72, settings), 96 * 1 + 32 * 2 + 12 * 4);
  settings.rounds = 1;
  EXPECT_DOUBLE_EQ(count_full_trainings(10, settings), 40);
}

FinalistResult judged(double quality, double loss, int folds = 4,
                      size_t samples = 96) {
  FinalistResult r;
  r.quality = quality;
  r.loss = loss;
  r.folds = folds;
  r.samples = samples;
  return r;
}

// One standard error of 96 right answers of 96 is 1.4 points.
TEST(Finalists, TheLossDecidesBetweenAccuraciesThatSamplesCannotTellApart) {
  const std::vector<FinalistResult> close = {
      judged(0.98, 0.3), judged(1.0, 0.2), judged(0.99, 0.1),
      judged(0.99, 0.05, 2)};
  EXPECT_EQ(ranked(close), (std::vector<size_t>{2, 1, 0, 3}));
  const std::vector<FinalistResult> errors = {judged(-2, 2, 4, 0),
                                              judged(-1, 1, 4, 0)};
  EXPECT_EQ(ranked(errors), (std::vector<size_t>{1, 0}));
  EXPECT_TRUE(ranked({}).empty());
}

TEST(Finalists, MethodsTakeTurns) {
  std::vector<TrainingPlan> plans(4);
  for (const size_t i : {1, 3}) plans[i].method = "bitfit";
  const std::vector<FinalistResult> results = {judged(0.9, 1), judged(0.3, 1),
                                               judged(0.8, 1), judged(0.5, 1)};
  EXPECT_EQ(ranked_in_turns(plans, results), (std::vector<size_t>{0, 3, 2, 1}));
}

}  // namespace
}  // namespace ft
