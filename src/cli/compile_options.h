// The options of fieldtune compile.
#pragma once

#include <cstdint>
#include <string>

#include "cli/options.h"
#include "plan/target.h"

namespace ft::cli {

// What `fieldtune compile` was asked for.
struct CompileOptions {
  std::string model, out, target, plan, program = "train", init_adapter, output;
  std::string front_end, arithmetic = "auto";
  MethodOptions method;
  OptimizerOptions optimizer;
  AdapterOptions adapters;
  uint64_t seed = 0;
  int64_t steps = 0;
  int64_t steps_per_day = 0;  // of the plan's schedule; 0: it has none
  std::string adapter_mode = "side";
  int flash_adapters = 0;
  std::string public_key;
  int64_t slice = 100000;
  bool sliced = false, takes_unsigned = false, json = false;
  bool costs = false, on_features = false;
  LayoutOptions layout;

  void add_to(CLI::App& app);
  // The first contradiction or unknown word.
  Status check() const;

  PlanOptions plan_for(const Target& target) const;
  bool trains() const { return program == "train"; }
  bool wants_real_output() const {
    return output.empty() ? trains() : output == "real";
  }
};

}  // namespace ft::cli
