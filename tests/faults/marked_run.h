// Faults at every call of a script that says itself which states are allowed:
// what tests of things that are written in place, by SQLite, share.
//
// A script runs under the recorder and leaves marks: "try" and the state as
// text if the change is made; "ok": it was reported as made; "failed": it was
// not. For every prefix of its calls, states that a power cut may leave are
// made from seeds and looked at; then it runs again and again while its n-th
// call fails or ends the process. Points and environment as in fault_run.h.
#pragma once

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "fieldtune/adapter_store.h"
#include "tests/faults/fault_run.h"
#include "tests/faults/power_cut.h"
#include "tests/faults/workplace.h"

namespace ft::faults {

using States = std::set<std::string>;

// The states that are allowed after each entry of a record.
class Allowed {
 public:
  explicit Allowed(std::string first) : states_{std::move(first)} {}
  const States& states() const { return states_; }
  void apply(const Entry& entry);

 private:
  std::string last_;
  States states_;
};

// What is wrong where `text` was found; empty: nothing.
std::string wrong_unless_allowed(const std::string& text,
                                 const States& allowed);

// Plain, and with a key that encrypts.
class MarkedFaults : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override;

  // The script's file name, the state that it begins with, what figures call
  // it.
  virtual std::string script() const = 0;
  virtual std::string first_state() const = 0;
  virtual std::string subject() const = 0;
  // What is wrong with what a fault left; empty: nothing.
  virtual std::string wrong_with(const std::string& folder,
                                 const States& allowed) = 0;

  // Without FT_EXHAUSTIVE every so many-th call is taken.
  virtual size_t every() const { return 3; }

  void cut_everywhere();
  void fail_everywhere();
  const fieldtune::StoreKey& key() const { return key_; }

 private:
  // Runs the script in `work_`/root; its exit status.
  int run(const std::string& environment) const;
  std::vector<Entry> record() const;
  // Looks at `seeds` states after a power cut behind the first `prefix` calls.
  int cut(const std::vector<Entry>& entries, size_t prefix, int seeds,
          const std::string& what);
  int cut(const Disk& disk, const Allowed& allowed, size_t prefix, int seeds,
          const std::string& what);
  // With a call that fails: how many states were looked at.
  long look_after(const std::string& what, uint64_t turn);

  Workplace work_;
  fieldtune::StoreKey key_;
};

inline std::string plain_or_encrypted(
    const testing::TestParamInfo<bool>& info) {
  return info.param ? "Encrypted" : "Plain";
}

}  // namespace ft::faults
