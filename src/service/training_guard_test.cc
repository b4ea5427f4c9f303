// The guard of a service's training, where others change what is in use.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>

#include "service/training_desk.h"
#include "serving/background_fixture.h"
#include "serving/test_adapters.h"

namespace ft::service {
namespace {

using fieldtune::AdapterStore;

struct Place {
  Place() {
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder / "work");
    const std::string file = folder / "poor.safetensors";
    EXPECT_TRUE(write_random_adapter(kBase, {.seed = 1}, file).ok());
    EXPECT_TRUE(AdapterStore::init(folder / "store").ok());
    store = std::make_unique<AdapterStore>(
        AdapterStore::open(folder / "store").value());
    EXPECT_TRUE(store->add(file, {.name = "mine"}).ok());
    EXPECT_TRUE(store->use("mine").ok() && store->confirm("mine").ok());
    book = AdapterBook::open(runtime,
                             store_shelf({.folder = folder / "store"}).value())
               .value();
    std::vector<float> answer;
    EXPECT_TRUE(runtime.run(sample_of(training.size, 0, 0), answer).ok());
    desk = std::make_unique<TrainingDesk>(runtime, *book,
                                          DeskOptions{.model = kBase,
                                                      .work = folder / "work",
                                                      .signing_key = {},
                                                      .idle_class = false,
                                                      .features = training.size,
                                                      .answers = answer.size(),
                                                      .keep_samples = false});
  }
  ~Place() {
    desk.reset();
    std::filesystem::remove_all(folder);
  }
  void teach() {
    TrainingStart start{.background = training.options};
    start.background.training.classes = {};
    start.background.training.total_steps = 100000;
    start.background.publish_every = 10;
    start.background.least_gain = 0.2;
    ASSERT_EQ(desk->start(start).status, 200);
    std::vector<LabeledSample> samples;
    for (int i = 0; i < 60; ++i)
      samples.push_back(
          {sample_of(training.size, i % kClasses, static_cast<uint64_t>(i)),
           i % kClasses});
    ASSERT_EQ(desk->add_samples(samples).status, 200);
  }
  bool wait_until(const std::function<bool(const BackgroundProgress&)>& done) {
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::seconds(120);
    while (!done(desk->now().progress)) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }

  static inline int places = 0;
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) /
      fmt::format("ft_guard_{}_{}", getpid(), places++);
  const Fixture training = Fixture("desk");  // its options
  Runtime runtime = Runtime::open(kBase).value();
  std::unique_ptr<AdapterStore> store;
  std::unique_ptr<AdapterBook> book;
  std::unique_ptr<TrainingDesk> desk;
};

// One that is good is published, and none after it is better by a fifth; when
// the store's owner takes it back, the next one is.
TEST(TrainingGuard, ComparesWithWhatTheStoreHasInUseAfterARollback) {
  Place place;
  place.teach();
  ASSERT_TRUE(place.wait_until([](const BackgroundProgress& p) {
    return p.versions > 0 && p.serving_accuracy > 0.8 && p.refused > 0;
  })) << place.desk->now().progress.message;
  const BackgroundProgress before = place.desk->now().progress;
  if (before.versions == 1) {
    ASSERT_TRUE(place.store->rollback("mine").ok());
  } else {
    ASSERT_TRUE(place.store->use("mine", 1).ok());
    ASSERT_TRUE(place.store->confirm("mine").ok());
  }
  ASSERT_EQ(place.store->active("mine")->version, 1);
  EXPECT_TRUE(place.wait_until([&](const BackgroundProgress& p) {
    return p.versions > before.versions;
  })) << place.desk->now().progress.message;
  EXPECT_EQ(place.desk->now().problem, "");
  EXPECT_GT(place.store->active("mine")->version, 1);
}

}  // namespace
}  // namespace ft::service
