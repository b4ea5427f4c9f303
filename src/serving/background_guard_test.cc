// What the guard of a background training compares a candidate with.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "fieldtune/adapter_store.h"
#include "serving/background_fixture.h"
#include "serving/test_adapters.h"

namespace ft {
namespace {

TEST(BackgroundGuard, TheGuardKeepsBackWhatIsNotBetterEnough) {
  Fixture f("guard");
  f.options.least_gain = 1;
  BackgroundTraining training = f.start();
  f.teach(training, 24);
  training.wait();
  const BackgroundProgress p = training.progress();
  EXPECT_EQ(p.versions, 0);
  EXPECT_EQ(p.refused, 3);
  EXPECT_NE(p.message.find("not published"), std::string::npos);
  EXPECT_TRUE(f.runtime.names().empty());
  EXPECT_TRUE(std::filesystem::is_empty(f.folder));
}

// The guard's first comparison after a restart, where nothing has the name: as
// without one, and not with nothing at all.
void expect_the_same_guard_after_a_restart(Fixture& f) {
  f.options.least_gain = 1;
  f.options.checkpoint = f.folder + "/state";
  f.options.training.total_steps = 100000;
  BackgroundProgress seen[2];
  for (BackgroundProgress& p : seen) {
    BackgroundTraining training = f.start();
    const int64_t before = training.progress().steps;
    EXPECT_EQ(before > 0, &p == &seen[1]);
    training.pause();
    f.teach(training, 36);
    training.resume();
    while (training.progress().refused + training.progress().versions == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    p = training.progress();
    ASSERT_TRUE(training.stop().ok());
  }
  EXPECT_GT(seen[0].serving_accuracy, 0);
  EXPECT_EQ(seen[1].serving_accuracy, seen[0].serving_accuracy);
  EXPECT_EQ(seen[1].versions, 0) << seen[1].file;
}

TEST(BackgroundGuard, ComparesWithTheBaseAfterARestartToo) {
  Fixture f("guard base");
  f.options.training.classes = {};
  f.label_of = [&](const std::vector<float>& x, int) {
    std::vector<float> answer;
    EXPECT_TRUE(f.runtime.run(x, answer).ok());
    return static_cast<int>(std::ranges::max_element(answer) - answer.begin());
  };
  expect_the_same_guard_after_a_restart(f);
}

TEST(BackgroundGuard, ComparesWithTheUntrainedHeadAfterARestartToo) {
  Fixture f("guard head");
  expect_the_same_guard_after_a_restart(f);
}

// Of each publication: what serves was right about, and the candidate.
struct Compared {
  double serving = 0, candidate = 0;
};

// Publishes whatever comes into a store that the runtime serves from; after
// version 2 the store's owner goes back to version 1.
TEST(BackgroundGuard, ComparesWithWhatARollbackBroughtBack) {
  Fixture f("rollback");
  f.options.least_gain = -1;
  f.options.publish_every = 5;
  f.options.training.total_steps = 30;
  const std::string folder = f.folder + "/store";
  ASSERT_TRUE(fieldtune::AdapterStore::init(folder).ok());
  auto store = fieldtune::AdapterStore::open(folder);
  ASSERT_TRUE(store.ok());
  BackgroundTraining* training = nullptr;
  std::vector<Compared> seen;
  f.options.on_published = [&](const std::string& file) -> Status {
    const BackgroundProgress p = training->progress();
    seen.push_back({p.serving_accuracy, p.candidate_accuracy});
    FT_TRY_STATUS(store->add(file, {.name = "mine"}).status());
    if (seen.size() <= 2) {
      FT_TRY_STATUS(store->use("mine").status());
      FT_TRY_STATUS(store->confirm("mine").status());
    }
    if (seen.size() == 2) FT_TRY_STATUS(store->rollback("mine").status());
    return f.runtime.add_store(folder).status();
  };
  BackgroundTraining started = f.start();
  training = &started;
  started.pause();
  f.teach(started, 60);
  started.resume();
  started.wait();
  EXPECT_EQ(started.progress().state, State::kFinished)
      << started.progress().message;
  ASSERT_EQ(seen.size(), 6u);
  ASSERT_NE(seen[0].candidate, seen[1].candidate);
  EXPECT_EQ(seen[1].serving, seen[0].candidate);
  for (size_t i = 2; i < seen.size(); ++i)
    EXPECT_EQ(seen[i].serving, seen[0].candidate) << i;
}

// Somebody puts the best there is in the name's place while the candidate is
// judged: the comparison is made again, with that.
TEST(BackgroundGuard, ComparesAnewWithWhatCameDuringTheComparison) {
  Fixture f("during");
  std::string best;
  {
    BackgroundTraining teacher = f.start();
    f.teach(teacher, 36);
    teacher.wait();
    best = teacher.progress().file;
    ASSERT_GE(teacher.progress().serving_accuracy, 0.9);
  }
  ASSERT_TRUE(f.runtime.remove("mine").ok());
  f.options.least_gain = 0.001;
  f.options.publish_every = 1;
  f.options.training.total_steps = 1;
  int asked = 0;
  f.options.before_guard = [&] {
    return ++asked == 2 ? f.runtime.add("mine", best) : ok_status();
  };
  BackgroundTraining training = f.start();
  f.teach(training, 36);
  training.wait();
  const BackgroundProgress p = training.progress();
  EXPECT_EQ(p.state, State::kFinished) << p.message;
  EXPECT_GE(p.serving_accuracy, 0.9);
  EXPECT_EQ(p.versions, 0);
  EXPECT_EQ(p.refused, 1);
  EXPECT_GE(asked, 3);
}

TEST(BackgroundGuard, PublishesNothingWhereNobodyKnowsWhatServes) {
  Fixture f("unknown");
  f.options.least_gain = -1;
  f.options.before_guard = [] { return io_error("the store is gone"); };
  BackgroundTraining training = f.start();
  f.teach(training, 24);
  training.wait();
  BackgroundProgress p = training.progress();
  EXPECT_EQ(p.state, State::kFinished);
  EXPECT_EQ(p.versions, 0);
  EXPECT_EQ(p.refused, 3);
  EXPECT_NE(p.message.find("the store is gone"), std::string::npos)
      << p.message;

  // Nor where it is another one each time.
  Fixture g("restless");
  g.options.least_gain = -1;
  g.options.publish_every = g.options.training.total_steps;
  std::vector<std::string> files;
  for (uint64_t seed : {1, 2}) {
    files.push_back(fmt::format("{}/{}.safetensors", g.folder, seed));
    ASSERT_TRUE(write_random_adapter(kBase, {.seed = seed}, files.back()).ok());
  }
  int asked = 0;
  g.options.before_guard = [&] {
    return g.runtime.add("mine", files[static_cast<size_t>(++asked % 2)]);
  };
  BackgroundTraining restless = g.start();
  g.teach(restless, 24);
  restless.wait();
  p = restless.progress();
  EXPECT_EQ(p.state, State::kFinished) << p.message;
  EXPECT_EQ(p.versions, 0);
  EXPECT_EQ(p.refused, 1);
  EXPECT_NE(p.message.find("not published"), std::string::npos) << p.message;
}

}  // namespace
}  // namespace ft
