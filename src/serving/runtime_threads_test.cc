// Threads that run, swap, evict, prefetch and replace at once; also under
// ThreadSanitizer (.ci/run).
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <random>
#include <thread>

#include "fieldtune/runtime.h"
#include "serving/test_adapters.h"

namespace ft {
namespace {

using fieldtune::Runtime;

const std::string kBase = FT_SOURCE_DIR "/examples/demo/keyword_base.tflite";
constexpr int kAdapters = 6;

struct Served {
  std::vector<std::string> files;
  std::vector<std::vector<float>> answers;
  std::vector<float> x;
  size_t file_bytes = 0;

  Served() {
    x.resize(fieldtune::Model::open(kBase)->input(0).size());
    const Random random(2, "features");
    for (size_t i = 0; i < x.size(); ++i) x[i] = 10 * random.normal(i);
    for (int i = 0; i < kAdapters; ++i) {
      files.push_back((std::filesystem::path(testing::TempDir()) /
                       fmt::format("ft_threads_{}.safetensors", i))
                          .string());
      AdapterRecipe recipe{.seed = static_cast<uint64_t>(i), .size = 0.4};
      recipe.method.r = i < 4 ? 4 : 2;  // two shapes
      EXPECT_TRUE(write_random_adapter(kBase, recipe, files.back()).ok());
      answers.push_back(answer_alone(kBase, {{{files.back()}}}, x).value());
      for (int j = 0; j < i; ++j) EXPECT_NE(answers[j], answers[i]);
    }
    file_bytes = std::filesystem::file_size(files[0]);
  }
};

TEST(RuntimeThreads, EveryAnswerIsOneAdaptersWhateverOthersDo) {
  Served served;
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  // Room for the active one, one in use by each thread, and a load by each.
  const size_t budget = 16 * served.file_bytes;
  auto runtime = Runtime::open(kBase, {.adapter_budget_bytes = budget}).value();
  for (int i = 0; i < kAdapters; ++i)
    ASSERT_TRUE(runtime.add(fmt::format("a{}", i), served.files[i]).ok());
  ASSERT_TRUE(runtime.set_active("a0").ok());
  std::atomic<int> wrong{0}, failed{0}, over{0};
  std::atomic<bool> stop{false};
  const auto name_of = [](auto n) { return fmt::format("a{}", n % kAdapters); };
  const auto check = [&](const Status& status) {
    failed += status.ok() ? 0 : 1;
  };
  std::vector<std::thread> runners, others;
  for (int t = 0; t < 2; ++t)
    runners.emplace_back([&, t] {
      std::mt19937 random(seed + static_cast<unsigned>(t));
      std::vector<float> y;
      for (int i = 0; i < 300; ++i) {
        const auto n = random();
        if (n % 2 == 0) {
          check(runtime.run(served.x, y));
          wrong += std::ranges::count(served.answers, y) == 1 ? 0 : 1;
        } else {
          check(runtime.run_with(name_of(n / 2), served.x, y));
          wrong += y == served.answers[n / 2 % kAdapters] ? 0 : 1;
        }
      }
    });
  others.emplace_back([&] {
    std::mt19937 random(seed + 10);
    while (!stop) check(runtime.set_active(name_of(random())));
  });
  others.emplace_back([&] {
    std::mt19937 random(seed + 20);
    while (!stop) {
      const auto n = random() % kAdapters;
      check(runtime.add(name_of(n), served.files[n]));  // loads it anew
      check(runtime.prefetch(name_of(random())));
      over += runtime.stats().adapter_bytes > budget ? 1 : 0;
      std::this_thread::yield();
    }
  });
  for (std::thread& t : runners) t.join();
  stop = true;
  for (std::thread& t : others) t.join();
  runtime.wait_for_prefetches();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(over, 0);
  EXPECT_GT(runtime.stats().swaps, 1u);
  // All that is held can be counted again: the cache, and the active one,
  // which may have been replaced.
  ASSERT_TRUE(runtime.set_active("").ok());
  EXPECT_EQ(runtime.stats().adapter_bytes, runtime.stats().cached_bytes);
}

TEST(RuntimeThreads, ManySwapsLeaveNothingBehind) {
  Served served;
  auto runtime = Runtime::open(kBase).value();
  for (int i = 0; i < kAdapters; ++i)
    ASSERT_TRUE(runtime.add(fmt::format("a{}", i), served.files[i]).ok());
  std::vector<float> y;
  for (int i = 0; i < 20000; ++i) {
    ASSERT_TRUE(runtime.set_active(fmt::format("a{}", i % kAdapters)).ok());
    if (i % 997 != 0) continue;
    ASSERT_TRUE(runtime.run(served.x, y).ok());
    EXPECT_EQ(y, served.answers[i % kAdapters]);
  }
  EXPECT_EQ(runtime.stats().swaps, 20000u);
  EXPECT_EQ(runtime.stats().adapter_bytes, runtime.stats().cached_bytes);
  EXPECT_EQ(runtime.stats().cached, size_t{kAdapters});
}

}  // namespace
}  // namespace ft
