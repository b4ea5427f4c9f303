// fieldtune plan --search: which way of adapting a model to the user's data is
// best within what a device has.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/data_job.h"
#include "cli/output.h"
#include "cli/report/report.h"
#include "search/training_plan.h"

namespace ft::cli {

struct SearchJob {
  std::string model, target, out;
  DataFlags data;
  bool search = false, new_head = false;
  std::string ram, flash, loss = "auto";
  double step_ms = 0, energy_mj = 0, energy_mj_per_day = 0;
  int epochs = 30, seq_len = 0;
  std::vector<std::string> methods, precisions, optimizers;
  std::vector<double> rates;
  std::optional<size_t> finalists;
  std::optional<int> rounds;
  double minutes = 0;
  uint64_t seed = 0;
  bool quiet = false;

  // The options that --search alone has; all others but `shared` exclude it.
  void add_to(CLI::App& app, const std::vector<std::string>& shared);
};

struct SearchOutcome {
  // What `plan --search --json` prints: the chosen plan and `front`, each with
  // its predicted costs and its accuracy on held-back samples.
  Json fields;
  ReportData report;  // front, and ranks of the chosen plan
};

// Writes job.out, if given.
Result<SearchOutcome> run_search_job(const SearchJob& job);

}  // namespace ft::cli
