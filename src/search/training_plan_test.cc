#include "search/training_plan.h"

#include <gtest/gtest.h>

namespace ft {
namespace {

TrainingPlan example() {
  TrainingPlan plan;
  plan.base_sha256 = "ab12";
  plan.target = "cortex-m4";
  plan.layers = {{"block/conv;bias", 4}, {"fc \"1\"", 8}};
  plan.num_classes = 10;
  plan.precision = Precision::kInteger;
  plan.optimizer = "sgd";
  plan.lr = 0.003;
  plan.epochs = 7;
  plan.accumulate = 2;
  plan.ram_bytes = 65536;
  plan.schedule = EnergySchedule{.energy_mj_per_day = 1000,
                                 .update_mj = 20.5,
                                 .epoch_mj = 2050,
                                 .updates_per_day = 48,
                                 .days = 15};
  plan.predicted = {{"ram_bytes", 61440}, {"step_ms", 12.5}};
  return plan;
}

TEST(TrainingPlan, SurvivesItsFile) {
  const TrainingPlan plan = example();
  const auto back = parse_training_plan(to_toml(plan), "plan.toml");
  ASSERT_TRUE(back.ok()) << back.status().message() << "\n" << to_toml(plan);
  EXPECT_EQ(to_toml(*back), to_toml(plan));
  EXPECT_EQ(back->layers, plan.layers);
  EXPECT_EQ(back->precision, plan.precision);
  EXPECT_EQ(back->predicted, plan.predicted);
  EXPECT_EQ(back->schedule, plan.schedule);
  EXPECT_EQ(back->describe(), plan.describe());
}

TEST(TrainingPlan, BecomesSettings) {
  const MethodSettings method = method_settings(example(), 3);
  EXPECT_EQ(method.num_classes, 10);
  EXPECT_EQ(method.rank_of("block/conv;bias"), 4);
  EXPECT_EQ(method.alpha_of("fc \"1\""), 16);
  const OptimizerSettings optimizer = optimizer_settings(example());
  EXPECT_EQ(optimizer.optimizer, "sgd");
  EXPECT_EQ(optimizer.accumulate, 2);
}

// The sentence for a plan file in which `from` is replaced by `to`.
std::string refusal(const std::string& from, const std::string& to) {
  std::string text = to_toml(example());
  const size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from << " in\n" << text;
  text.replace(at, from.size(), to);
  const auto plan = parse_training_plan(text, "p.toml");
  EXPECT_FALSE(plan.ok()) << text;
  return plan.status().message();
}

TEST(TrainingPlan, RefusesBadFilesWithTheLine) {
  const auto says = [](const std::string& message, const std::string& what) {
    EXPECT_NE(message.find(what), std::string::npos) << message;
  };
  says(refusal("epochs = 7", "epochs = 0"), "'epochs' must be at least 1");
  says(refusal("epochs = 7", "epochs = \"x\""), "p.toml:");
  says(refusal("epochs = 7", "epoch = 7"), "unknown key 'epoch'");
  says(refusal("format = 1", "format = 2"), "format 2 is not known");
  says(refusal("'integer'", "'half'"), "no precision 'half'");
  says(refusal("'lora'", "'nonsense'"), "nonsense");
  says(refusal("'sgd'", "'adam'"), "adam");
  says(refusal("r = 4", "r = -1"), "'r' must be at least 0");
  says(refusal("r = 4", "rank = 4"), "unknown key 'rank'");
  says(refusal("lr = ", "lr = = "), "p.toml:");
  says(refusal("classes = 10", "classes = 10\nclassess = 1"),
       "unknown key 'classess'");
}

}  // namespace
}  // namespace ft
