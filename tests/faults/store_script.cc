// A life of an adapter store in one process, for a recorder of faults
// (marked_script.h): makes changes of every kind. After a failure the process
// itself looks whether the store is as it was.
#include <fmt/format.h>

#include <functional>
#include <optional>
#include <vector>

#include "adapters/store/test_adapters.h"
#include "base/hash.h"
#include "tests/faults/marked_script.h"
#include "tests/faults/store_state.h"

namespace ft::faults {
namespace {

using fieldtune::AdapterStore;
using fieldtune::Arm;
using fieldtune::Experiments;
using fieldtune::ExperimentState;
using store::test_adapter;

struct StoreScript : MarkedScript {
  Oracle oracle;
  std::optional<AdapterStore> store;
  // States after changes that failed since the last one that did not: one may
  // turn out to have been made when the log is read again.
  std::vector<Oracle> maybe;

  // The store must show the last acknowledged state, or the one in doubt.
  void look(const char* when) {
    if (!store) return;
    const auto text = text_of(*store);
    if (!text.ok()) return;  // the disk still fails
    if (*text == oracle.text()) return;
    for (const Oracle& other : maybe)
      if (*text == other.text()) {
        oracle = Oracle(other);
        return;
      }
    complain(fmt::format("{} the store holds\n{}not\n{}", when, *text,
                         oracle.text()));
  }

  bool reopen() {
    store.reset();
    for (int i = 0; i < 3 && !store; ++i) {
      auto opened = AdapterStore::open(folder, {.key = key});
      if (opened.ok())
        store.emplace(std::move(opened).value());
      else
        ++failures;
    }
    look("after opening");
    return store.has_value();
  }

  void change(const std::function<Status()>& make,
              const std::function<void(Oracle&)>& effect) {
    Oracle after = oracle;
    effect(after);
    const Status status = attempt(after.text(), make);
    if (status.ok()) {
      oracle = after;
      maybe.clear();
      return;
    }
    if (status.code() != Code::kIo && status.code() != Code::kInvalidInput &&
        status.code() != Code::kUsage)
      complain("failed with another reason: " + status.message());
    maybe.push_back(after);
    look("after a failed change");
  }

  void add(const std::string& name, uint64_t number, int64_t floats) {
    const auto file = test_adapter(number, floats);
    const std::string sha256 = sha256_hex(file);
    for (const auto& [version, row] : oracle.names[name])
      if (row.sha256 == sha256) return;
    change([&] { return store->add(file, "script", {.name = name}).status(); },
           [&](Oracle& o) { o.add(name, sha256); });
  }
  // The newest or the oldest version.
  void use(const std::string& name, bool newest) {
    if (oracle.names[name].empty()) return;
    const int64_t version = newest ? oracle.names[name].rbegin()->first
                                   : oracle.names[name].begin()->first;
    change([&] { return store->use(name, version).status(); },
           [&](Oracle& o) { o.use(name, version); });
  }
  void confirm(const std::string& name) {
    if (oracle.in(name, fieldtune::Slot::kTrial) == nullptr) return;
    change([&] { return store->confirm(name).status(); },
           [&](Oracle& o) { o.confirm(name); });
  }
  void rollback(const std::string& name) {
    const bool trial = oracle.in(name, fieldtune::Slot::kTrial) != nullptr;
    if (oracle.in(name, fieldtune::Slot::kConfirmed) == nullptr ||
        (!trial && oracle.before(name) == nullptr))
      return;
    change([&] { return store->rollback(name).status(); },
           [&](Oracle& o) { o.rollback(name); });
  }
  void pin(const std::string& name) {
    if (oracle.names[name].empty()) return;
    const int64_t version = oracle.names[name].begin()->first;
    change([&] { return store->pin(name, version).status(); },
           [&](Oracle& o) { o.names[name][version].pinned = true; });
  }
  void collect() {
    change([&] { return store->collect({.keep = 1}).status(); },
           [&](Oracle& o) { o.collect_all_but_newest(); });
  }

  // Of the newest version against what is confirmed, or the base.
  void start(const std::string& name) {
    if (oracle.names[name].empty() || oracle.experiments.contains(name)) return;
    const int64_t version = oracle.names[name].rbegin()->first;
    const OracleRow& row = oracle.names[name].rbegin()->second;
    if (row.slot != fieldtune::Slot::kStaged) return;
    change(
        [&] {
          return Experiments(*store)
              .start({.name = name,
                      .treatment = version,
                      .salt = "s",
                      .rules = {.promote_if = "accuracy >= control + 0.5",
                                .rollback_if = "accuracy < control",
                                .least = 2,
                                .interval = fieldtune::RuleInterval::kNone}})
              .status();
        },
        [&](Oracle& o) { o.start(name, version); });
  }
  bool runs(const std::string& name) {
    return oracle.experiments.contains(name) &&
           oracle.experiments[name].state == ExperimentState::kRunning;
  }
  // Two requests of each arm, told at once; those of `right` are right.
  void record(const std::string& name, Arm right) {
    if (!runs(name)) return;
    std::vector<fieldtune::Recorded> batch;
    for (const Arm arm : fieldtune::kArms) {
      batch.push_back({.experiment = 0, .arm = arm, .tally = {}});
      for (int i = 0; i < 2; ++i)
        if (!batch.back()
                 .tally.add({.requests = 1, .right = arm == right})
                 .ok())
          ++broken;
    }
    change(
        [&]() -> Status {
          Experiments experiments(*store);
          FT_TRY(const auto experiment, experiments.running(name));
          for (auto& one : batch) one.experiment = experiment.id;
          return experiments.record(batch).status();
        },
        [&](Oracle& o) {
          for (int64_t& count : o.experiments[name].requests) count += 2;
        });
  }
  // By its rules: those of record().
  void decide(const std::string& name, bool promote) {
    if (!runs(name) || oracle.experiments[name].requests[0] == 0) return;
    change([&] { return Experiments(*store).decide(name).status(); },
           [&](Oracle& o) { o.end(name, promote); });
  }

  bool init() {
    for (int i = 0; i < 3 && !oracle.exists; ++i)
      change([&] { return AdapterStore::init(folder, {.key = key}); },
             [](Oracle& o) { o.exists = true; });
    if (!oracle.exists)
      oracle.exists = AdapterStore::open(folder, {.key = key}).ok();
    return oracle.exists && reopen();
  }

  // Promotions, rollbacks and collections of two names.
  void live() {
    if (!init()) return;
    add("a", 1, 40);
    use("a", true);
    confirm("a");
    add("a", 2, 3000);
    add("b", 1, 40);
    use("a", true);
    if (!reopen()) return;
    confirm("a");
    add("a", 3, 700);
    use("a", true);
    rollback("a");
    pin("b");
    add("b", 4, 1200);
    add("b", 5, 1200);
    if (!reopen()) return;
    use("b", true);
    confirm("b");
    add("a", 6, 300);
    collect();
    use("a", true);
    confirm("a");
    if (!reopen()) return;
    rollback("a");
    collect();
    add("a", 3, 700);
    use("a", false);
    use("a", true);
    rollback("a");
    collect();
    compare();
    store.reset();
  }

  // An experiment that promotes, and one against the base that does not.
  void compare() {
    add("c", 7, 300);
    use("c", true);
    confirm("c");
    add("c", 8, 500);
    start("c");
    record("c", Arm::kTreatment);
    if (!reopen()) return;
    add("d", 9, 40);
    start("d");
    collect();
    record("d", Arm::kControl);
    decide("c", true);
    if (!reopen()) return;
    decide("d", false);
    collect();
  }
};

}  // namespace
}  // namespace ft::faults

int main(int argc, char** argv) {
  return ft::faults::run_script<ft::faults::StoreScript>(argc, argv);
}
