// Command line options that several subcommands share, and their meaning.
#pragma once

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/policy_option.h"
#include "methods/method.h"
#include "plan/program.h"
#include "train/adapted_model.h"
#include "train/optimizer.h"
#include "train/step.h"

namespace ft::cli {

// --adapter, once for each of several; see methods/compose.h. With --policy,
// which holds for whatever adapters the command reads.
struct AdapterOptions {
  std::vector<std::string> paths;
  std::vector<double> weights;
  bool disabled = false;
  PolicyOption policy;
  void add_to(CLI::App& app);
  // In order; --no-adapter gives all of them weight 0.
  Result<std::vector<AdapterChoice>> choices() const;
};

// When and where values lie in the arena; same bits.
struct LayoutOptions {
  bool keep_order = false;
  bool in_place = true;  // no option: --explain asks what it saves
  std::string patches = "off";
  void add_to(CLI::App& app);
  PlanOptions plan(PlanOptions options) const;
  // Fails if --patches names a number and none of these programs is computed
  // so.
  Status check(std::initializer_list<const Program*> programs) const;
};

// How the step is computed and what it may use.
struct KernelOptions {
  bool exact = false;
  bool c99 = false;
  LayoutOptions layout;
  std::vector<std::string> without;
  void add_to(CLI::App& app);
  PlanOptions plan() const {
    return layout.plan({.exact = exact, .c99_only = c99, .without = without});
  }
};

// How the adapter is stored.
struct StorageOptions {
  std::string dtype = "f32", scales = "channel";
  bool asymmetric = false, vectors = false, learn_steps = false;
  std::vector<std::string> keep_f32;
  void add_to(CLI::App& app);
  // What only training knows.
  void add_training_to(CLI::App& app);
  Result<AdapterStorage> storage() const;
};

struct MethodOptions {
  std::string method = "lora";
  std::optional<int> rank;      // default: the method's
  std::optional<double> alpha;  // default: twice the rank
  std::vector<std::string> target_modules, rank_pattern, alpha_pattern;
  int classes = 0;
  bool new_head = false;
  std::string precision = "mixed";
  std::string loss = "auto";
  std::string recompute = "auto";
  double recompute_limit = 0;
  int batch = 1;
  int seq_len = 0;
  std::string ram;
  StorageOptions storage;
  // Settings that only some methods have, by PEFT's word; empty: not given.
  std::map<std::string, std::string, std::less<>> own;
  // Decided otherwise than by options: by a plan.
  bool decided = false;
  void add_to(CLI::App& app);
  // `num_classes` is of the data, used by --new-head. Where no option says what
  // to train, all of it is as in `start`: an adapter to go on from, or null.
  Result<MethodSettings> settings(int num_classes, uint64_t seed,
                                  const MethodSettings* start = nullptr) const;
  // Everything that decides the step.
  Result<StepSettings> step(const Graph& base, MethodSettings settings,
                            const OptimizerSettings& optimizer,
                            const PlanOptions& plan) const;
  // The RAM budget; SIZE_MAX where none was given.
  Result<size_t> ram_bytes() const;

 private:
  std::vector<const CLI::Option*> deciding_;

  bool is_decided() const;
  Status check_sizes(int num_classes) const;
  Status check_recompute_limit() const;
  void add_deciding_options(CLI::App& app);
  void add_own_settings(CLI::App& app);
};

// --loss: "auto" (natural_loss()), "cross-entropy" or "mse".
Result<Loss> loss_for(const std::string& loss, const Graph& base,
                      const MethodSettings& settings);

// The tokens of --prompt-tuning-init-text, by the model's own tokenizer. Fails
// where it has none.
Status read_init_text(const BaseModel& base, MethodSettings& settings);

// --seq-len: tokens in a sample, for models that read tokens.
void add_seq_len(CLI::App& app, int& seq_len);

struct OptimizerOptions {
  OptimizerSettings settings;
  int epochs = 30;
  int patience = 0;
  bool in_order = false;
  void add_to(CLI::App& app);

 private:
  void add_gradient_options(CLI::App& app);
};

// "pattern=value" pairs.
Result<std::vector<std::pair<std::string, double>>> parse_patterns(
    const std::vector<std::string>& texts);

}  // namespace ft::cli
