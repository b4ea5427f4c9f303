// A/B of two versions of one adapter: requests are split by a key, what comes
// of them is counted, and a rule promotes one version or rolls it back.
//
//   FT_TRY(auto store, fieldtune::AdapterStore::open("store"));
//   fieldtune::Experiments experiments(store);
//   FT_TRY(auto e, experiments.start({.name = "kitchen", .share = 0.2,
//       .rules = {.promote_if = "accuracy >= control + 0.5",
//                 .rollback_if = "accuracy < control - 1"}}));
//
//   FT_TRY(auto live, fieldtune::LiveExperiments::open("store"));  // threads
//   if (const auto arm = live.assign("kitchen", user)) {
//     FT_TRY_STATUS(runtime.run_with(arm->adapter, features, answer));
//     FT_TRY_STATUS(live.record(*arm, {.requests = 1, .latency_ms = 2.1}));
//     ...                                             // later, when it is
//     known FT_TRY_STATUS(live.record(*arm, {.right = true}));
//   }
//
//   FT_TRY(auto report, experiments.decide("kitchen"));  // promotes, or not
//   yet
//
// Control is the confirmed version, or the base alone; treatment is on trial or
// staged. While an experiment runs its versions stay where they are: use(),
// confirm() and rollback() of that name are refused, collect() keeps both. What
// ends it moves the slots in the same transaction.
//
// Which arm a key has depends on salt, name, key and share alone: the first 8
// bytes of BLAKE2b-128 of "salt|name|key", as a little-endian integer h, give
// treatment where h < share * 2^64. It is the same on every machine, for ever.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fieldtune/adapter_store.h"

namespace fieldtune {

enum class Arm { kControl = 0, kTreatment = 1 };
inline constexpr std::array kArms = {Arm::kControl, Arm::kTreatment};
enum class ExperimentState { kRunning, kPromoted, kRolledBack, kStopped };
// "control", "treatment"; "running", "promoted", "rolled back", "stopped".
const char* name_of(Arm arm);
const char* name_of(ExperimentState state);

// Rules compare the treatment with a number or with control:
//
//   rule   = clause { "and" clause }
//   clause = metric ( ">=" | ">" | "<=" | "<" ) bound
//   bound  = number | "control" [ "*" number ] [ ( "+" | "-" ) number ]
//
// Metrics: accuracy in percent (so "control + 0.5" is half a percentage point);
// latency_ms, the mean; latency_p99_ms; and whatever record() was given, by its
// mean.
//
// A rule holds if it does at the worse end of the two-sided interval of
// treatment - factor * control. Which interval:
enum class RuleInterval {
  // Of what was measured, as it is: a comparison of points.
  kNone,
  // Right for one look that was fixed beforehand. Who asks again and again
  // errs more often than the confidence says.
  kOneLook,
  // Right at all looks together, so for rules that are asked while values come
  // in; wider, so that it takes more of them.
  kEveryLook,
};
// "none", "one-look", "every-look".
const char* name_of(RuleInterval interval);
Result<RuleInterval> parse_rule_interval(const std::string& name);  // kUsage

struct ExperimentRules {
  std::string promote_if = {}, rollback_if = {};  // empty: never
  // Values of each metric of a rule that each arm must have before it says
  // anything.
  int64_t least = 200;
  double confidence = 0.95;  // above 0, below 1; nothing for kNone
  RuleInterval interval = RuleInterval::kEveryLook;
  // Of kEveryLook: values an arm at which the interval is narrowest for their
  // count. A tenth or ten times as many are met with one 10 to 30 % wider.
  int64_t target = 1000;
};

// Where the rules, names of metrics and numbers are well-formed.
Status check_rules(const ExperimentRules& rules);

struct ExperimentStart {
  static constexpr int64_t kConfirmedOrBase = -1;
  std::string name = {};
  // The confirmed version, 0: the base alone, or whichever there is.
  int64_t control = kConfirmedOrBase;
  int64_t treatment = 0;  // 0: what is on trial, else the highest staged one
  double share = 0.5;     // of keys for the treatment; above 0, below 1
  std::string salt = {};  // without '|'; empty: the store's count of changes
  ExperimentRules rules = {};
};

struct Experiment {
  int64_t id = 0;
  std::string name = {};
  int64_t control = 0, treatment = 0;  // versions; control 0: the base alone
  double share = 0.5;
  std::string salt = {};
  ExperimentRules rules = {};
  ExperimentState state = ExperimentState::kRunning;
  int64_t started = 0, started_time = 0;  // counter of the store; seconds
  int64_t ended = 0, ended_time = 0;      // 0: it runs
  std::string reason = {};                // why it ended, one sentence

  Arm arm_of(std::string_view key) const;
  int64_t version_of(Arm arm) const {
    return arm == Arm::kControl ? control : treatment;
  }
  // As fieldtune/runtime.h takes it: "kitchen@3", or "" for the base alone.
  std::string adapter_of(Arm arm) const;
};

// What came of one request, or of several things that are told at once.
struct Outcome {
  int64_t requests = 0;  // answers that were given; feedback alone is none
  std::optional<bool> right = {};         // where the right answer is known
  std::optional<double> latency_ms = {};  // 0 and up
  // By name ([a-z][a-z0-9_]*, up to 64, at most 16 of them); finite.
  std::map<std::string, double> metrics = {};
};

// Number, mean and spread of values; equal values in any order give nearly the
// same, and two can be added.
struct Moments {
  int64_t count = 0;
  double mean = 0;
  double m2 = 0;  // sum of squared distances from the mean

  void add(double value);
  void add(const Moments& other);
  double variance() const;  // of the sample; 0 for less than two values
};

// Times in 256 classes from 1 us up, each 9 % wider than the one before.
struct LatencyHistogram {
  std::array<uint64_t, 256> counts = {};
  void add(double milliseconds);
  void add(const LatencyHistogram& other);
  uint64_t count() const;
  // The upper end of the class that has the quantile; 0 where it is empty.
  double quantile(double q) const;
  // Of the class that has the value of that rank, from 1: above the first, up
  // to the second, which is infinite for the last class.
  std::pair<double, double> ends_of(uint64_t rank) const;
};

// Outcomes of one arm, added up.
struct Tally {
  int64_t requests = 0;
  // "accuracy" of 0 and 1, "latency_ms", and others by their names.
  std::map<std::string, Moments> metrics = {};
  LatencyHistogram latency = {};

  Status add(const Outcome& outcome);  // kUsage, and nothing is added
  void add(const Tally& other);
  bool empty() const { return requests == 0 && metrics.empty(); }
};

struct Recorded {
  int64_t experiment = 0;  // its id
  Arm arm = Arm::kControl;
  Tally tally = {};
};

struct ArmReport {
  Arm arm = Arm::kControl;
  int64_t version = 0;
  int64_t requests = 0, labelled = 0, right = 0;
  // Percent, with Wilson's interval: of the rules, or of one look with 95 %.
  double accuracy = 0, accuracy_low = 0, accuracy_high = 0;
  double latency_ms = 0, latency_p99_ms = 0;
  std::map<std::string, Moments> metrics = {};  // other than these
};

struct Verdict {
  enum class Says { kWait, kUndecided, kPromote, kRollback };
  Says says = Says::kUndecided;
  std::string sentence = {};  // with the numbers
};
const char* name_of(Verdict::Says says);  // "wait", "undecided", "promote", ...

struct ExperimentReport {
  Experiment experiment = {};
  std::array<ArmReport, 2> arms = {};  // control, treatment
  Verdict verdict = {};
};

enum class ExperimentEnd { kLeaveSlots, kPromote, kRollback };

// The experiments of a store. Views the store, and is for the same thread.
// Each change is one transaction; errors are those of AdapterStore.
class Experiments {
 public:
  explicit Experiments(AdapterStore& store) : store_(&store) {}

  // kUsage where the name or a version is unknown, both arms are one version,
  // control is not confirmed, treatment neither on trial nor staged, a number
  // or rule is none, or an experiment of that name runs.
  Result<Experiment> start(const ExperimentStart& options);
  // Those that run, and the last ended ones; only of `name` where it is given.
  Result<std::vector<Experiment>> list(const std::string& name = {});
  // kUsage where none of that name runs.
  Result<Experiment> running(const std::string& name);
  Result<std::vector<Experiment>> running();
  // Adds to what is counted, and returns once it is on disk. kUsage where the
  // experiment has ended.
  Status record(const Experiment& experiment, Arm arm, const Tally& tally);
  // The same for several, wholly or not at all; gives how many came too late:
  // those of ended experiments are not counted.
  Result<size_t> record(std::span<const Recorded> batch);

  // Of the one that runs, or else the one that ended last.
  Result<ExperimentReport> report(const std::string& name);
  // Of the one that runs: acts as its rules say. Promoting makes the treatment
  // confirmed, rolling back makes it retired; the experiment ends with that.
  Result<ExperimentReport> decide(const std::string& name);
  // Ends it whatever its rules say.
  Result<ExperimentReport> stop(const std::string& name,
                                ExperimentEnd end = ExperimentEnd::kLeaveSlots,
                                const std::string& reason = {});

 private:
  AdapterStore* store_;
};

struct LiveOptions {
  StoreOpen store = {};
  // Outcomes are kept in memory and written this often by a thread, and when
  // the object goes: a crash loses what came since. The thread also learns
  // which experiments were started or ended meanwhile.
  int64_t flush_ms = 1000;
  // Decide by the rules after each time something was written.
  bool decide = false;
  // Called in that thread when an experiment was seen to have ended: the active
  // version of its name may be another one now (Runtime::add_store()).
  std::function<void(const Experiment&)> on_end = {};
};

// Which arm a request has.
struct Assignment {
  int64_t experiment = 0;
  std::string name = {};
  Arm arm = Arm::kControl;
  int64_t version = 0;
  std::string adapter = {};  // for Runtime::run_with()
};

// The running experiments of a store, for those who answer requests. All
// functions may be called by any number of threads at once; assign() and
// record() do not touch the disk.
class LiveExperiments {
 public:
  // The store must be writable.
  static Result<LiveExperiments> open(const std::string& folder,
                                      const LiveOptions& options = {});
  LiveExperiments(LiveExperiments&&) noexcept;
  LiveExperiments& operator=(LiveExperiments&&) noexcept;
  ~LiveExperiments();  // flushes

  // Nothing where no experiment of that name runs.
  std::optional<Assignment> assign(const std::string& name,
                                   std::string_view key) const;
  // kUsage on values that are none. What comes after the end of its experiment
  // is not counted, and no error.
  Status record(const Assignment& assignment, const Outcome& outcome);

  // Writes what was recorded, and looks which experiments run now.
  Status flush();
  // As Experiments has them, with what is still in memory.
  Result<ExperimentReport> report(const std::string& name);
  Result<ExperimentReport> decide(const std::string& name);
  std::vector<Experiment> running() const;
  // Of the thread's last flush. What a disk error kept from being written is
  // kept for the next one.
  Status last_error() const;

 private:
  struct Impl;
  explicit LiveExperiments(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fieldtune
