// The state of an adapter store as one text, for comparing what is there with
// what a model of the store says.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "fieldtune/adapter_store.h"
#include "fieldtune/experiment.h"

namespace ft::faults {

// A folder that is no store (yet).
inline constexpr const char* kNoStore = "no store\n";

struct OracleRow {
  fieldtune::Slot slot = fieldtune::Slot::kStaged;
  bool pinned = false;
  std::string sha256 = {};
  int64_t confirmed = 0;  // order of confirmations
};

// One for each name at most.
struct OracleExperiment {
  fieldtune::ExperimentState state = fieldtune::ExperimentState::kRunning;
  int64_t treatment = 0;
  std::array<int64_t, 2> requests = {};  // by arm
};

// The store's promises, without files, transactions or SQL.
struct Oracle {
  bool exists = false;
  int64_t confirmations = 0;
  std::map<std::string, std::map<int64_t, OracleRow>> names = {};
  std::map<std::string, OracleExperiment> experiments = {};

  std::string text() const {
    if (!exists) return kNoStore;
    std::string all = "store\n";
    for (const auto& [name, versions] : names)
      for (const auto& [version, row] : versions)
        all += line(name, version, row.slot, row.pinned, row.sha256);
    for (const auto& [name, e] : experiments) all += line(name, e);
    return all;
  }
  static std::string line(const std::string& name, const OracleExperiment& e) {
    return "experiment of " + name + "@" + std::to_string(e.treatment) + " " +
           name_of(e.state) + " " + std::to_string(e.requests[0]) + " " +
           std::to_string(e.requests[1]) + "\n";
  }
  static std::string line(const std::string& name, int64_t version,
                          fieldtune::Slot slot, bool pinned,
                          const std::string& sha256) {
    return name + "@" + std::to_string(version) + " " + name_of(slot) +
           (pinned ? " pinned " : " ") + sha256 + "\n";
  }

  OracleRow* in(const std::string& name, fieldtune::Slot slot) {
    for (auto& [version, row] : names[name])
      if (row.slot == slot) return &row;
    return nullptr;
  }
  void add(const std::string& name, const std::string& sha256) {
    auto& versions = names[name];
    const int64_t last = versions.empty() ? 0 : versions.rbegin()->first;
    versions[last + 1].sha256 = sha256;
  }
  void use(const std::string& name, int64_t version) {
    OracleRow& row = names[name][version];
    if (OracleRow* trial = in(name, fieldtune::Slot::kTrial))
      trial->slot = fieldtune::Slot::kStaged;
    if (row.slot != fieldtune::Slot::kConfirmed)
      row.slot = fieldtune::Slot::kTrial;
  }
  void confirm(const std::string& name) {
    OracleRow* trial = in(name, fieldtune::Slot::kTrial);
    if (OracleRow* old = in(name, fieldtune::Slot::kConfirmed))
      old->slot = fieldtune::Slot::kRetired;
    trial->slot = fieldtune::Slot::kConfirmed;
    trial->confirmed = ++confirmations;
  }
  OracleRow* before(const std::string& name) {
    const OracleRow* now = in(name, fieldtune::Slot::kConfirmed);
    OracleRow* best = nullptr;
    for (auto& [version, row] : names[name])
      if (now != nullptr && row.confirmed > 0 &&
          row.confirmed < now->confirmed &&
          (best == nullptr || row.confirmed > best->confirmed))
        best = &row;
    return best;
  }
  void rollback(const std::string& name) {
    if (OracleRow* trial = in(name, fieldtune::Slot::kTrial)) {
      trial->slot = fieldtune::Slot::kRetired;
      return;
    }
    OracleRow* old = before(name);
    OracleRow* now = in(name, fieldtune::Slot::kConfirmed);
    now->slot = fieldtune::Slot::kRetired;
    now->confirmed = 0;
    old->slot = fieldtune::Slot::kConfirmed;
  }
  void start(const std::string& name, int64_t treatment) {
    experiments[name].treatment = treatment;
  }
  void end(const std::string& name, bool promote) {
    OracleExperiment& e = experiments[name];
    e.state = promote ? fieldtune::ExperimentState::kPromoted
                      : fieldtune::ExperimentState::kRolledBack;
    use(name, e.treatment);
    promote ? confirm(name) : rollback(name);
  }
  // Keeps the newest version, and what must stay.
  void collect_all_but_newest() {
    for (auto& [name, versions] : names) {
      const OracleRow* back = before(name);
      for (auto at = versions.begin(); at != versions.end();) {
        const OracleRow& row = at->second;
        const bool stays = row.pinned || &row == back ||
                           row.slot == fieldtune::Slot::kTrial ||
                           row.slot == fieldtune::Slot::kConfirmed ||
                           std::next(at) == versions.end();
        at = stays ? std::next(at) : versions.erase(at);
      }
    }
  }
};

inline Result<std::string> text_of(fieldtune::AdapterStore& store) {
  std::string all = "store\n";
  FT_TRY(const auto adapters, store.list());
  for (const fieldtune::StoredAdapter& row : adapters)
    all +=
        Oracle::line(row.name, row.version, row.slot, row.pinned, row.sha256);
  fieldtune::Experiments experiments(store);
  FT_TRY(const auto list, experiments.list());
  std::map<std::string, OracleExperiment> found;
  for (const fieldtune::Experiment& e : list) {
    FT_TRY(const auto report, experiments.report(e.name));
    found[e.name] = {
        .state = e.state,
        .treatment = e.treatment,
        .requests = {report.arms[0].requests, report.arms[1].requests}};
  }
  for (const auto& [name, e] : found) all += Oracle::line(name, e);
  return all;
}

}  // namespace ft::faults
