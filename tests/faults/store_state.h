// The state of an adapter store as one text, for comparing what is there with
// what a model of the store says.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "fieldtune/adapter_store.h"

namespace ft::faults {

// A folder that is no store (yet).
inline constexpr const char* kNoStore = "no store\n";

struct OracleRow {
  fieldtune::Slot slot = fieldtune::Slot::kStaged;
  bool pinned = false;
  std::string sha256 = {};
  int64_t confirmed = 0;  // order of confirmations
};

// The store's promises, without files, transactions or SQL.
struct Oracle {
  bool exists = false;
  int64_t confirmations = 0;
  std::map<std::string, std::map<int64_t, OracleRow>> names = {};

  std::string text() const {
    if (!exists) return kNoStore;
    std::string all = "store\n";
    for (const auto& [name, versions] : names)
      for (const auto& [version, row] : versions)
        all += line(name, version, row.slot, row.pinned, row.sha256);
    return all;
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

inline std::string text_of(
    const std::vector<fieldtune::StoredAdapter>& adapters) {
  std::string all = "store\n";
  for (const fieldtune::StoredAdapter& row : adapters)
    all +=
        Oracle::line(row.name, row.version, row.slot, row.pinned, row.sha256);
  return all;
}

}  // namespace ft::faults
