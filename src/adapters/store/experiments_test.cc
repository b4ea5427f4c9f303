#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <thread>

#include "adapters/store/database.h"
#include "adapters/store/store_folder.h"
#include "adapters/store/test_adapters.h"
#include "fieldtune/experiment.h"

namespace fieldtune {
namespace {

using ft::store::Database;
using ft::store::test_adapter;

// "me@1" is confirmed, "me@2" is staged.
class Ab : public ft::store::StoreFolder {
 protected:
  void SetUp() override {
    StoreFolder::SetUp();
    AdapterStore store = open();
    for (uint64_t i = 1; i <= 2; ++i) add(store, "me", i);
    ASSERT_TRUE(store.use("me", 1).ok());
    ASSERT_TRUE(store.confirm("me").ok());
  }
  AdapterStore open(const StoreOpen& options = {}) {
    return AdapterStore::open(folder_, options).value();
  }
  static void add(AdapterStore& store, const std::string& name, uint64_t n) {
    ASSERT_TRUE(store.add(test_adapter(n), "test", {.name = name}).ok());
  }
  static std::string slots(AdapterStore& store, const std::string& name) {
    std::string text;
    const auto rows = store.list(name).value();
    for (const StoredAdapter& row : rows)
      text += (text.empty() ? "" : ", ") + std::to_string(row.version) + " " +
              name_of(row.slot);
    return text;
  }
  static Tally tally_of(int right, int wrong) {
    Tally tally;
    for (int i = 0; i < right + wrong; ++i)
      EXPECT_TRUE(
          tally.add({.requests = 1, .right = i < right, .latency_ms = 1 + i})
              .ok());
    return tally;
  }
  void sql(const char* text) {
    auto index = Database::open(folder_ + "/index.sqlite",
                                Database::Mode::kWrite, 1000, "");
    ASSERT_TRUE(index.ok());
    const Status status = index->execute(text);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  const ExperimentRules rules_{.promote_if = "accuracy >= control + 0.5",
                               .rollback_if = "accuracy < control - 1",
                               .least = 10,
                               .interval = RuleInterval::kNone};
};

void expect_says(const Status& status, Code code, const std::string& words) {
  EXPECT_EQ(status.code(), code) << status.message();
  EXPECT_NE(status.message().find(words), std::string::npos)
      << status.message();
}

TEST_F(Ab, PromotesByRule) {
  AdapterStore store = open();
  Experiments ab(store);
  const Experiment e = ab.start({.name = "me", .rules = rules_}).value();
  EXPECT_EQ(e.control, 1);
  EXPECT_EQ(e.treatment, 2);
  EXPECT_EQ(e.adapter_of(Arm::kTreatment), "me@2");
  EXPECT_EQ(slots(store, "me"), "1 confirmed, 2 staged");
  EXPECT_EQ(store.active("me").value().version, 1);
  EXPECT_EQ(ab.decide("me").value().verdict.says, Verdict::Says::kWait);
  ASSERT_TRUE(ab.record(e, Arm::kControl, tally_of(8, 2)).ok());
  ASSERT_TRUE(ab.record(e, Arm::kTreatment, tally_of(4, 1)).ok());
  ASSERT_TRUE(ab.record(e, Arm::kTreatment, tally_of(5, 0)).ok());
  const auto report = ab.report("me").value();
  EXPECT_EQ(report.arms[1].requests, 10);
  EXPECT_EQ(report.arms[1].right, 9);
  EXPECT_EQ(report.arms[1].accuracy, 90);
  EXPECT_NEAR(report.arms[1].latency_ms, 3, 1e-12);
  EXPECT_EQ(report.experiment.state, ExperimentState::kRunning);
  const auto decided = ab.decide("me").value();
  EXPECT_EQ(decided.verdict.says, Verdict::Says::kPromote);
  EXPECT_EQ(decided.experiment.state, ExperimentState::kPromoted);
  EXPECT_EQ(slots(store, "me"), "1 retired, 2 confirmed");
  EXPECT_EQ(store.rollback("me").value().version, 1);
  expect_says(ab.decide("me").status(), Code::kUsage, "no experiment");
  expect_says(ab.record(e, Arm::kControl, tally_of(1, 0)), Code::kUsage,
              "has ended");
  const auto after = ab.report("me").value();
  EXPECT_EQ(after.experiment.state, ExperimentState::kPromoted);
  EXPECT_EQ(after.arms[0].requests, 10);
  EXPECT_NE(after.experiment.reason.find("holds"), std::string::npos);
}

TEST_F(Ab, RollsBackByRule) {
  AdapterStore store = open();
  ASSERT_TRUE(store.use("me", 2).ok());
  Experiments ab(store);
  const Experiment e = ab.start({.name = "me", .rules = rules_}).value();
  ASSERT_TRUE(ab.record(e, Arm::kControl, tally_of(10, 0)).ok());
  ASSERT_TRUE(ab.record(e, Arm::kTreatment, tally_of(5, 5)).ok());
  EXPECT_EQ(ab.decide("me").value().experiment.state,
            ExperimentState::kRolledBack);
  EXPECT_EQ(slots(store, "me"), "1 confirmed, 2 retired");
}

TEST_F(Ab, StopsByHand) {
  AdapterStore store = open();
  Experiments ab(store);
  ASSERT_TRUE(ab.start({.name = "me"}).ok());
  EXPECT_EQ(ab.stop("me").value().experiment.state, ExperimentState::kStopped);
  EXPECT_EQ(slots(store, "me"), "1 confirmed, 2 staged");
  ASSERT_TRUE(ab.start({.name = "me"}).ok());
  ASSERT_TRUE(ab.stop("me", ExperimentEnd::kRollback).ok());
  EXPECT_EQ(slots(store, "me"), "1 confirmed, 2 retired");
  ASSERT_TRUE(store.use("me", 2).ok());
  ASSERT_TRUE(ab.start({.name = "me", .control = 0}).ok());
  ASSERT_TRUE(ab.stop("me", ExperimentEnd::kPromote, "a look").ok());
  EXPECT_EQ(slots(store, "me"), "1 retired, 2 confirmed");
  EXPECT_EQ(ab.list("me").value().size(), 3u);
  EXPECT_EQ(ab.list().value().back().reason, "a look");
}

TEST_F(Ab, AgainstTheBaseAloneWhereNothingIsConfirmed) {
  AdapterStore store = open();
  add(store, "new", 5);
  Experiments ab(store);
  const Experiment e = ab.start({.name = "new", .rules = rules_}).value();
  EXPECT_EQ(e.control, 0);
  EXPECT_EQ(e.adapter_of(Arm::kControl), "");
  ASSERT_TRUE(ab.stop("new", ExperimentEnd::kRollback).ok());
  EXPECT_EQ(slots(store, "new"), "1 retired");
}

TEST_F(Ab, RefusesWhatIsNone) {
  AdapterStore store = open();
  Experiments ab(store);
  const auto refused = [&](const ExperimentStart& start,
                           const std::string& words) {
    expect_says(ab.start(start).status(), Code::kUsage, words);
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  refused({.name = "you"}, "has no adapter 'you'");
  refused({.name = "a b"}, "not a name");
  refused({.name = "me", .treatment = 9}, "has no version 9");
  refused({.name = "me", .control = 9}, "has no version 9");
  refused({.name = "me", .control = 2}, "control is the confirmed version");
  refused({.name = "me", .treatment = 1}, "both control and treatment");
  refused({.name = "me", .control = 0, .treatment = 1}, "me@1 is confirmed");
  for (const double share : {0.0, 1.0, -0.1, 1.5, nan})
    refused({.name = "me", .share = share}, "is not above 0 and below 1");
  refused({.name = "me", .salt = "a|b"}, "no '|'");
  refused({.name = "me", .rules = {.promote_if = "accuracy"}}, "column 9");
  refused({.name = "me", .rules = {.rollback_if = "!"}}, "column 1");
  refused({.name = "me", .rules = {.least = 0}}, "are not from 1");
  for (const double confidence : {0.0, 1.0, -0.5, nan})
    refused({.name = "me", .rules = {.confidence = confidence}},
            "is not above 0 and below 1");
  for (const int64_t target : {int64_t{0}, int64_t{-1}, int64_t{1} << 40})
    refused({.name = "me", .rules = {.target = target}}, "a target of");
  EXPECT_TRUE(ab.list().value().empty());
  add(store, "me", 3);
  ASSERT_TRUE(store.use("me", 2).ok());
  refused({.name = "me", .treatment = 3}, "me@2 is on trial");
  ASSERT_TRUE(ab.start({.name = "me"}).ok());
  refused({.name = "me"}, "an experiment of 'me' runs");
  AdapterStore reader = open({.read_only = true});
  Experiments read(reader);
  expect_says(read.start({.name = "me"}).status(), Code::kUsage,
              "for reading only");
  expect_says(read.stop("me").status(), Code::kUsage, "for reading only");
  EXPECT_EQ(read.report("me").value().experiment.treatment, 2);
}

TEST_F(Ab, OutcomesAreChecked) {
  Tally tally;
  const double inf = std::numeric_limits<double>::infinity();
  for (const Outcome& wrong :
       {Outcome{.requests = -1}, Outcome{.latency_ms = -1.0},
        Outcome{.latency_ms = inf}, Outcome{.metrics = {{"clicks", inf}}},
        Outcome{.latency_ms = 1e300}, Outcome{.requests = int64_t{1} << 62},
        Outcome{.metrics = {{"Clicks", 1}}}, Outcome{.metrics = {{"", 1}}},
        Outcome{.metrics = {{"accuracy", 1}}}})
    EXPECT_EQ(tally.add(wrong).code(), Code::kUsage);
  EXPECT_TRUE(tally.empty());
  for (int i = 0; i < 18; ++i)
    ASSERT_TRUE(tally.add({.metrics = {{"m" + std::to_string(i), i}}}).ok());
  expect_says(tally.add({.metrics = {{"m18", 1}}}), Code::kUsage,
              "more than 18 metrics");
}

// The slots of a name are its experiment's while one runs.
TEST_F(Ab, KeepsItsVersionsWhereTheyAre) {
  AdapterStore store = open();
  Experiments ab(store);
  ASSERT_TRUE(ab.start({.name = "me"}).ok());
  expect_says(store.use("me", 2).status(), Code::kUsage, "an experiment of");
  expect_says(store.confirm("me").status(), Code::kUsage, "an experiment of");
  expect_says(store.rollback("me").status(), Code::kUsage, "an experiment of");
  for (uint64_t n = 3; n <= 6; ++n) add(store, "me", n);
  add(store, "you", 9);
  EXPECT_TRUE(store.use("you").ok());
  ASSERT_TRUE(store.collect({.keep = 1}).ok());
  EXPECT_EQ(slots(store, "me"), "1 confirmed, 2 staged, 6 staged");
  const uint64_t each = store.find("me", 1).value().bytes;
  expect_says(
      store.collect({.max_bytes = static_cast<int64_t>(2 * each)}).status(),
      Code::kDoesNotFit, "in an experiment");
  ASSERT_TRUE(ab.stop("me").ok());
  ASSERT_TRUE(store.collect({.keep = 1}).ok());
  EXPECT_EQ(slots(store, "me"), "1 confirmed, 6 staged");
}

TEST_F(Ab, RemembersSoManyEndedOnes) {
  AdapterStore store = open();
  Experiments ab(store);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(ab.start({.name = "me"}).ok());
    ASSERT_TRUE(ab.stop("me").ok());
  }
  EXPECT_EQ(ab.list("me").value().size(), 16u);
}

constexpr const char* kAsVersionOne =
    "DROP TABLE intervals; DROP TABLE experiments; DROP TABLE outcomes; "
    "DROP TABLE boots; PRAGMA user_version = 1";
constexpr const char* kAsVersionTwo =
    "DROP TABLE intervals; PRAGMA user_version = 2";

// Experiments of version 2 go on by the interval that they began with.
TEST_F(Ab, OlderExperimentsKeepTheirInterval) {
  {
    AdapterStore store = open();
    add(store, "you", 3);
    Experiments ab(store);
    ASSERT_TRUE(ab.start({.name = "me", .rules = rules_}).ok());
    ASSERT_TRUE(ab.start({.name = "you", .rules = rules_}).ok());
  }
  sql("UPDATE experiments SET confidence = 0.9 WHERE name = 'me'");
  sql("UPDATE experiments SET confidence = 0 WHERE name = 'you'");
  sql(kAsVersionTwo);
  const auto check = [&](AdapterStore store) {
    Experiments ab(store);
    const Experiment me = ab.running("me").value();
    EXPECT_EQ(me.rules.interval, RuleInterval::kOneLook);
    EXPECT_EQ(me.rules.confidence, 0.9);
    EXPECT_EQ(ab.running("you").value().rules.interval, RuleInterval::kNone);
  };
  check(open({.read_only = true}));
  check(open());  // makes the table
  check(open());
  AdapterStore store = open();
  Experiments ab(store);
  const Experiment e = ab.running("me").value();
  ASSERT_TRUE(ab.record(e, Arm::kTreatment, tally_of(30, 0)).ok());
  ASSERT_TRUE(ab.record(e, Arm::kControl, tally_of(0, 30)).ok());
  EXPECT_EQ(ab.decide("me").value().experiment.state,
            ExperimentState::kPromoted);
  ASSERT_TRUE(ab.stop("you").ok());
  const ExperimentRules fresh{.interval = RuleInterval::kEveryLook,
                              .target = 77};
  ASSERT_TRUE(ab.start({.name = "you", .rules = fresh}).ok());
  const Experiment you = Experiments(store).running("you").value();
  EXPECT_EQ(you.rules.interval, RuleInterval::kEveryLook);
  EXPECT_EQ(you.rules.target, 77);
  EXPECT_TRUE(store.verify().value().empty());
}

TEST_F(Ab, OlderStoresGetTheirTables) {
  sql(kAsVersionOne);
  {
    AdapterStore reader = open({.read_only = true});
    EXPECT_EQ(slots(reader, "me"), "1 confirmed, 2 staged");
    EXPECT_TRUE(Experiments(reader).list().value().empty());
    expect_says(Experiments(reader).report("me").status(), Code::kUsage,
                "no experiment");
  }
  AdapterStore store = open();
  EXPECT_EQ(slots(store, "me"), "1 confirmed, 2 staged");
  EXPECT_TRUE(Experiments(store).start({.name = "me"}).ok());
  EXPECT_TRUE(open().verify().value().empty());
}

TEST_F(Ab, RefusesTablesOfAnotherVersion) {
  sql("PRAGMA user_version = 1");  // has more than version 1
  expect_says(AdapterStore::open(folder_).status(), Code::kInvalidInput,
              "not those of a store");
  sql("PRAGMA user_version = 4");
  expect_says(AdapterStore::open(folder_).status(), Code::kInvalidInput,
              "reads versions 1 to 3");
  sql(kAsVersionOne);
  sql("PRAGMA user_version = 2");
  expect_says(AdapterStore::open(folder_).status(), Code::kInvalidInput,
              "not those of a store");
}

TEST_F(Ab, RefusesDamagedRows) {
  AdapterStore store = open();
  Experiments ab(store);
  const Experiment e = ab.start({.name = "me", .rules = rules_}).value();
  ASSERT_TRUE(ab.record(e, Arm::kControl, tally_of(1, 1)).ok());
  sql("UPDATE outcomes SET classes = x'00' WHERE metric = 'latency_ms'");
  expect_says(ab.report("me").status(), Code::kInvalidInput, "damaged");
  sql("UPDATE intervals SET target = 2000000000");
  expect_says(ab.list().status(), Code::kInvalidInput, "'rules'");
  sql("UPDATE intervals SET target = 1000");
  sql("UPDATE experiments SET share = 2");
  expect_says(ab.list().status(), Code::kInvalidInput, "'share'");
  sql("UPDATE experiments SET share = 0.5, promote_if = 'x'");
  expect_says(ab.list().status(), Code::kInvalidInput, "'rules'");
}

// What could not be read back would lock the experiment, and its slots.
TEST_F(Ab, TooMuchIsNotCounted) {
  AdapterStore store = open();
  Experiments ab(store);
  const Experiment e = ab.start({.name = "me", .rules = rules_}).value();
  Tally many;
  const int64_t most = int64_t{1} << 48;
  ASSERT_TRUE(many.add(Outcome{.requests = most}).ok());
  expect_says(many.add(Outcome{.requests = 1}), Code::kUsage, "more than");
  ASSERT_TRUE(ab.record(e, Arm::kControl, many).ok());
  expect_says(ab.record(e, Arm::kControl, many), Code::kUsage, "above");
  Tally wrong;
  wrong.metrics["clicks"] = {
      .count = 2, .mean = 1, .m2 = std::numeric_limits<double>::infinity()};
  expect_says(ab.record(e, Arm::kTreatment, wrong), Code::kUsage, "finite");
  EXPECT_EQ(ab.report("me").value().arms[0].requests, most);
  EXPECT_TRUE(ab.stop("me").ok());
}

TEST_F(Ab, TrialsEndAfterSoManyStarts) {
  AdapterStore store = open();
  EXPECT_TRUE(store.begin_boot().value().empty());
  const int64_t counter = store.info().value().counter;
  ASSERT_TRUE(store.use("me", 2, 2).ok());
  for (int64_t i = 1; i <= 2; ++i) {
    const auto boots = open().begin_boot().value();
    ASSERT_EQ(boots.size(), 1u);
    EXPECT_EQ(boots[0].boots, i);
    EXPECT_EQ(boots[0].most, 2);
    EXPECT_FALSE(boots[0].rolled_back);
    EXPECT_EQ(slots(store, "me"), "1 confirmed, 2 trial");
  }
  const auto last = open().begin_boot().value();
  ASSERT_EQ(last.size(), 1u);
  EXPECT_TRUE(last[0].rolled_back);
  EXPECT_EQ(slots(store, "me"), "1 confirmed, 2 retired");
  EXPECT_TRUE(store.begin_boot().value().empty());
  EXPECT_EQ(store.info().value().counter, counter + 4);
  expect_says(store.use("me", 2, -1).status(), Code::kUsage, "-1 starts");
}

// What confirms, ends or replaces a trial ends its count.
TEST_F(Ab, CountsOnlyTheTrialThatWasGivenStarts) {
  AdapterStore store = open();
  ASSERT_TRUE(store.use("me", 2, 1).ok());
  ASSERT_TRUE(store.confirm("me").ok());
  EXPECT_TRUE(store.begin_boot().value().empty());
  add(store, "me", 3);
  ASSERT_TRUE(store.use("me", 3, 1).ok());
  ASSERT_TRUE(store.rollback("me").ok());
  EXPECT_TRUE(store.begin_boot().value().empty());
  ASSERT_TRUE(store.use("me", 3, 1).ok());
  ASSERT_TRUE(store.use("me", 3).ok());  // without an end again
  EXPECT_TRUE(store.begin_boot().value().empty());
  add(store, "new", 5);
  ASSERT_TRUE(store.use("new", 1, 1).ok());  // nothing to go back to
  ASSERT_TRUE(store.begin_boot().ok());
  EXPECT_TRUE(store.begin_boot().value()[0].rolled_back);
  EXPECT_EQ(slots(store, "new"), "1 retired");
}

TEST_F(Ab, AnExperimentEndsWithItsTrial) {
  AdapterStore store = open();
  ASSERT_TRUE(store.use("me", 2, 1).ok());
  Experiments ab(store);
  ASSERT_TRUE(ab.start({.name = "me"}).ok());
  ASSERT_TRUE(store.begin_boot().ok());
  EXPECT_TRUE(store.begin_boot().value()[0].rolled_back);
  EXPECT_EQ(ab.list("me").value()[0].state, ExperimentState::kRolledBack);
  EXPECT_EQ(slots(store, "me"), "1 confirmed, 2 retired");
}

TEST_F(Ab, CountsFromManyThreads) {
  {
    AdapterStore store = open();
    ASSERT_TRUE(Experiments(store)
                    .start({.name = "me", .share = 0.3, .rules = rules_})
                    .ok());
  }
  auto live = LiveExperiments::open(folder_, {.flush_ms = 2}).value();
  EXPECT_FALSE(live.assign("you", "x"));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        const auto arm =
            live.assign("me", std::to_string(t) + "/" + std::to_string(i));
        ASSERT_TRUE(arm);
        const bool right = arm->arm == Arm::kTreatment || i % 2 == 0;
        ASSERT_TRUE(
            live.record(*arm, {.requests = 1, .right = right, .latency_ms = 1})
                .ok());
      }
    });
  for (std::thread& thread : threads) thread.join();
  const auto report = live.report("me").value();
  EXPECT_EQ(report.arms[0].requests + report.arms[1].requests, 8000);
  EXPECT_NEAR(static_cast<double>(report.arms[1].requests), 2400, 250);
  EXPECT_EQ(report.arms[1].accuracy, 100);
  EXPECT_TRUE(live.last_error().ok());
}

TEST_F(Ab, DecidesWhileItServes) {
  AdapterStore store = open();
  ASSERT_TRUE(Experiments(store).start({.name = "me", .rules = rules_}).ok());
  std::mutex mutex;
  std::condition_variable told;
  std::vector<Experiment> ended;
  auto live =
      LiveExperiments::open(folder_, {.flush_ms = 2,
                                      .decide = true,
                                      .on_end =
                                          [&](const Experiment& e) {
                                            const std::unique_lock lock(mutex);
                                            ended.push_back(e);
                                            told.notify_all();
                                          }})
          .value();
  std::vector<Assignment> arms;
  for (int i = 0; i < 100; ++i)
    arms.push_back(*live.assign("me", std::to_string(i)));
  for (const Assignment& arm : arms)
    ASSERT_TRUE(
        live.record(arm, {.requests = 1, .right = arm.arm == Arm::kTreatment})
            .ok());
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(told.wait_for(lock, std::chrono::seconds(20),
                              [&] { return !ended.empty(); }));
    EXPECT_EQ(ended[0].state, ExperimentState::kPromoted);
  }
  EXPECT_FALSE(live.assign("me", "0"));
  EXPECT_TRUE(live.record(arms[0], {.requests = 1}).ok());  // too late
  EXPECT_EQ(slots(store, "me"), "1 retired, 2 confirmed");
  EXPECT_TRUE(live.running().empty());
}

// Another process ends it and begins the next.
TEST_F(Ab, SeesWhatOthersDo) {
  AdapterStore store = open();
  Experiments ab(store);
  auto live = LiveExperiments::open(folder_, {.flush_ms = 3600000}).value();
  EXPECT_FALSE(live.assign("me", "x"));
  ASSERT_TRUE(ab.start({.name = "me"}).ok());
  ASSERT_TRUE(live.flush().ok());
  const Assignment old = *live.assign("me", "x");
  ASSERT_TRUE(live.record(old, {.requests = 1}).ok());
  ASSERT_TRUE(ab.stop("me").ok());
  ASSERT_TRUE(ab.start({.name = "me"}).ok());
  ASSERT_TRUE(live.flush().ok());  // the outcome came too late
  EXPECT_NE(live.assign("me", "x")->experiment, old.experiment);
  EXPECT_EQ(ab.report("me").value().arms[0].requests +
                ab.report("me").value().arms[1].requests,
            0);
  expect_says(
      LiveExperiments::open(folder_, {.store = {.read_only = true}}).status(),
      Code::kUsage, "writable");
}

}  // namespace
}  // namespace fieldtune
