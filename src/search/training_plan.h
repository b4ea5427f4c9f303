// A choice of how to adapt a model: method, layers, ranks, arithmetic,
// optimizer and schedule, as `fieldtune plan --search` writes it (plan.toml)
// and train and compile obey it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "search/schedule.h"
#include "train/step.h"

namespace ft {

struct LayerChoice {
  std::string module;
  int r = 0;  // 0: the method has no ranks
  bool operator==(const LayerChoice&) const = default;
};

struct TrainingPlan {
  std::string base_sha256;  // of the model that the plan is for
  std::string target;       // name; empty: this machine
  std::string method = "lora";
  std::vector<LayerChoice> layers;  // those that are adapted; empty: all
  int num_classes = 0;              // of a new head; 0: none
  Precision precision = Precision::kMixed;
  std::string optimizer = "adamw";  // its other settings are the defaults
  double lr = 2e-3;
  int epochs = 30;
  int64_t accumulate = 1;
  size_t ram_bytes = 0;  // budget of arena, persistent and scratch; 0: none
  std::optional<EnergySchedule> schedule;  // none: as fast as it goes
  // What was predicted, by field name ("ram_bytes", "step_ms"); no one obeys
  // it.
  std::map<std::string, double> predicted;

  // "lora on 4 layers (rank 4..8), integer, sgd, lr 0.003".
  std::string describe() const;
};

// TOML, keys in order of the alphabet.
std::string to_toml(const TrainingPlan& plan);
// `source`: what messages call the text; they give its line.
Result<TrainingPlan> parse_training_plan(const std::string& toml,
                                         const std::string& source);
Result<TrainingPlan> load_training_plan(const std::string& path);

MethodSettings method_settings(const TrainingPlan& plan, uint64_t seed);
OptimizerSettings optimizer_settings(const TrainingPlan& plan);

}  // namespace ft
