// Experiments in a store's index: their SQL and the rows it gives, each checked
// when it is read. Changes want a Transaction of the caller.
//
// An index of schema version 1 has none: everything is empty. Experiments of
// version 2 say only a confidence: that of one look, or 0 for no interval. Not
// for what moves slots (experiments.cc).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "adapters/store/index.h"
#include "fieldtune/experiment.h"

namespace ft::store {

inline constexpr size_t kMostMetrics = 18;  // accuracy, latency_ms, 16 others
inline constexpr int64_t kMostOutcomes = int64_t{1} << 48;
inline constexpr size_t kKeptExperiments = 16;  // ended ones of a name

class ExperimentIndex {
 public:
  ExperimentIndex(Index& index, std::string where)
      : index_(index), where_(std::move(where)) {}

  // By the order of their start; of all names where it is empty.
  Result<std::vector<fieldtune::Experiment>> list(const std::string& name);
  Result<std::vector<fieldtune::Experiment>> running();
  Result<std::optional<fieldtune::Experiment>> running(const std::string& name);
  Result<std::optional<fieldtune::Experiment>> find(int64_t id);
  // Gives it its id, and forgets the oldest ended ones of its name.
  Status insert(fieldtune::Experiment& experiment);
  // State, ended, ended_time and reason of it.
  Status set_end(const fieldtune::Experiment& experiment);

  Result<fieldtune::Tally> tally(int64_t experiment, fieldtune::Arm arm);
  Status set_tally(int64_t experiment, fieldtune::Arm arm,
                   const fieldtune::Tally& tally);

  // How often a trial was begun, and how often it may be.
  struct Boots {
    std::string name = {};
    int64_t version = 0, boots = 0, most = 0;
  };
  Result<std::vector<Boots>> boots();
  Status set_boots(const Boots& boots);
  Status forget_boots(const std::string& name);

 private:
  bool has_tables() const { return index_.version() >= 2; }
  Status read_interval(fieldtune::Experiment& experiment);
  Status insert_interval(const fieldtune::Experiment& experiment);
  Result<std::vector<fieldtune::Experiment>> rows_of(Statement& statement);
  Status damaged(const char* what) const;
  Status prune(const std::string& name);

  Index& index_;
  std::string where_;
};

}  // namespace ft::store
