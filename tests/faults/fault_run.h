// Faults at every call of a command: what every such test shares.
//
// A command runs under the recorder on files that are on disk. For every prefix
// of its calls, states that a power cut may leave are made from seeds and
// looked at; then it runs again and again while its n-th call fails with ENOSPC
// or EIO, or ends the process. FT_EXHAUSTIVE=1 takes all points, else a few;
// FT_FAULT_SEED=N replays another run's seeds; FT_FAULT_FIGURES=FILE gets a
// line of JSON for each subject.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/faults/old_or_new.h"
#include "tests/faults/power_cut.h"
#include "tests/faults/workplace.h"

namespace ft::faults {

bool exhaustive();
uint64_t seed();

// How the calls fail in turn: environment of the recorder.
inline constexpr const char* kFailures[] = {
    "enospc FT_FAULT_FOR=1", "enospc FT_FAULT_FOR=0", "eio FT_FAULT_FOR=1",
    "eio FT_FAULT_FOR=3", "exit"};

inline constexpr int kKilled = 86;  // exit status that the recorder gives

struct Figures {
  std::string subject;
  long calls = 0;          // of the command
  long power_cuts = 0;     // states looked at, without a failing call
  long failing_runs = 0;   // runs with one
  long after_failure = 0;  // states looked at in and after those
  long points() const { return power_cuts + after_failure; }
};
void save_figures(const Figures& figures);

// Paths in commands: {root}, the folder that faults hit; {in}, inputs that they
// do not. `status` of a command that ended is 0.
struct Subject {
  std::string name;
  std::string before = "true";  // makes what is safe on disk in {root}
  std::string command;
  // Run in what a fault left: succeeds, and leaves the files that `command`
  // leaves when nothing fails. Temporary files are gone.
  std::string retry;
  bool same_files = true;  // false: retry's success is enough
  // What begins so is written in place: retry alone says whether it is right.
  std::string in_place = {};
};

class FaultTest : public testing::Test {
 protected:
  void SetUp() override;

  std::string in() const { return work_.path("in"); }
  std::string program(const std::string& name) const {
    return work_.program(name);
  }
  // Runs it in a shell; expects success.
  void shell(const std::string& command) const;
  void explore(const Subject& subject);

 private:
  struct Run {
    int status;
    std::vector<Entry> entries;
  };
  int shell_status(const std::string& command, const std::string& root) const;
  Run run(const Subject& subject, const std::string& environment) const;
  void cut_everywhere(const Run& whole);
  void fail_everywhere(const Run& whole);
  void fail_at(size_t call, const char* kind);
  // False once something is wrong: the test has failed with `what`.
  bool cut(const Disk& disk, const OldOrNew& allowed, uint64_t seed,
           const std::string& what);
  bool look(const std::string& folder, const OldOrNew& allowed,
            const std::string& what);
  std::string retry_in(const std::string& folder);

  Workplace work_;
  const Subject* subject_ = nullptr;
  Files before_, after_;
  Figures figures_;
  std::map<std::string, std::string> verdicts_;  // of retry_in(), by contents
};

}  // namespace ft::faults
