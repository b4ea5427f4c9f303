// The cache alone: loads are faked, bytes are real.
#include "serving/adapter_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <new>
#include <random>
#include <stdexcept>
#include <thread>

namespace ft {
namespace {

// Loads "<bytes>/<anything>" by charging so many bytes.
struct FakeLoads {
  explicit FakeLoads(size_t budget)
      : cache(budget, [this](const std::string& name) { return load(name); }) {}

  Result<ServedAdapterPtr> load(const std::string& name) {
    ++loads;
    if (name.empty() || name[0] < '0' || name[0] > '9')
      return usage_error("no adapter '" + name + "'");
    auto served = std::make_shared<ServedAdapter>();
    FT_TRY(served->charge, cache.charge(std::stoul(name)));
    served->load_us = costs.contains(name) ? costs.at(name) : 100;
    return ServedAdapterPtr(std::move(served));
  }

  std::atomic<int> loads{0};
  std::map<std::string, double> costs;
  AdapterCache cache;
};

TEST(AdapterCache, LoadsOnceAndFindsAgain) {
  FakeLoads fake(100);
  ASSERT_TRUE(fake.cache.get("40/a").ok());
  ASSERT_TRUE(fake.cache.get("40/a").ok());
  EXPECT_EQ(fake.loads, 1);
  const CacheStats stats = fake.cache.stats();
  EXPECT_EQ(stats.hits, 1u);
  EXPECT_EQ(stats.misses, 1u);
  EXPECT_EQ(stats.used_bytes, 40u);
  EXPECT_EQ(stats.cached_bytes, 40u);
}

TEST(AdapterCache, EvictsTheLeastUsed) {
  FakeLoads fake(100);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(fake.cache.get("40/often").ok());
  ASSERT_TRUE(fake.cache.get("40/once").ok());
  ASSERT_TRUE(fake.cache.get("40/new").ok());
  EXPECT_TRUE(fake.cache.holds("40/often"));
  EXPECT_FALSE(fake.cache.holds("40/once"));
  EXPECT_EQ(fake.cache.stats().used_bytes, 80u);
}

TEST(AdapterCache, KeepsWhatIsDearToLoad) {
  FakeLoads fake(100);
  fake.costs = {{"40/dear", 8000}, {"40/cheap", 100}};
  ASSERT_TRUE(fake.cache.get("40/dear").ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(fake.cache.get("40/cheap").ok());
  ASSERT_TRUE(fake.cache.get("40/new").ok());
  EXPECT_TRUE(fake.cache.holds("40/dear"));
  EXPECT_FALSE(fake.cache.holds("40/cheap"));
}

TEST(AdapterCache, OfEqualUsesTheLargerGoes) {
  FakeLoads fake(100);
  ASSERT_TRUE(fake.cache.get("60/large").ok());
  ASSERT_TRUE(fake.cache.get("20/small").ok());
  ASSERT_TRUE(fake.cache.get("30/new").ok());
  EXPECT_FALSE(fake.cache.holds("60/large"));
  EXPECT_TRUE(fake.cache.holds("20/small"));
}

TEST(AdapterCache, NeverEvictsPinnedOnes) {
  FakeLoads fake(100);
  ASSERT_TRUE(fake.cache.pin("60/pinned").ok());
  const Status full = fake.cache.get("50/new").status();
  EXPECT_EQ(full.code(), Code::kDoesNotFit);
  EXPECT_NE(full.message().find("60 are pinned or in use"), std::string::npos)
      << full.message();
  EXPECT_TRUE(fake.cache.holds("60/pinned"));
  EXPECT_EQ(fake.cache.stats().pinned, 1u);
  ASSERT_TRUE(fake.cache.unpin("60/pinned").ok());
  EXPECT_TRUE(fake.cache.get("50/new").ok());
  EXPECT_FALSE(fake.cache.holds("60/pinned"));
  EXPECT_EQ(fake.cache.unpin("60/pinned").code(), Code::kUsage);
}

TEST(AdapterCache, NeverEvictsWhatIsInUse) {
  FakeLoads fake(100);
  auto used = fake.cache.get("60/used");
  EXPECT_EQ(fake.cache.get("50/new").status().code(), Code::kDoesNotFit);
  EXPECT_TRUE(fake.cache.holds("60/used"));
  used = usage_error("dropped");
  EXPECT_TRUE(fake.cache.get("50/new").ok());
}

TEST(AdapterCache, WhatCannotFitEvictsNothing) {
  FakeLoads fake(100);
  ASSERT_TRUE(fake.cache.get("40/a").ok());
  ASSERT_TRUE(fake.cache.get("40/b").ok());
  const Status status = fake.cache.get("101/large").status();
  EXPECT_EQ(status.code(), Code::kDoesNotFit);
  EXPECT_NE(status.message().find("budget of 100 bytes"), std::string::npos);
  EXPECT_TRUE(fake.cache.holds("40/a"));
  EXPECT_TRUE(fake.cache.holds("40/b"));
  EXPECT_EQ(fake.cache.stats().evictions, 0u);
}

TEST(AdapterCache, AForgottenOneIsCountedUntilItIsFree) {
  FakeLoads fake(100);
  auto used = fake.cache.get("60/used");
  fake.cache.forget("60/used");
  EXPECT_EQ(fake.cache.stats().cached, 0u);
  EXPECT_EQ(fake.cache.stats().used_bytes, 60u);
  ASSERT_TRUE(fake.cache.get("30/new").ok());
  used = usage_error("dropped");
  EXPECT_EQ(fake.cache.stats().used_bytes, 30u);
}

TEST(AdapterCache, RemembersNoNameThatFailed) {
  FakeLoads fake(100);
  EXPECT_EQ(fake.cache.get("unknown").status().code(), Code::kUsage);
  EXPECT_EQ(fake.cache.get("unknown").status().code(), Code::kUsage);
  EXPECT_EQ(fake.loads, 2);
  EXPECT_EQ(fake.cache.stats().failures, 2u);
}

TEST(AdapterCache, ALoadThatThrowsIsAnErrorAndNobodyWaitsForIt) {
  AdapterCache cache(100,
                     [](const std::string& name) -> Result<ServedAdapterPtr> {
                       if (name == "memory") throw std::bad_alloc();
                       if (name == "number") throw 7;
                       throw std::runtime_error("the opener's own");
                     });
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(cache.get("memory").status().code(), Code::kDoesNotFit);
    EXPECT_EQ(cache.get("number").status().code(), Code::kInternal);
    const Status status = cache.pin("other");
    EXPECT_EQ(status.code(), Code::kInternal);
    EXPECT_NE(status.message().find("the opener's own"), std::string::npos);
  }
  EXPECT_EQ(cache.stats().failures, 6u);
  EXPECT_EQ(cache.stats().pinned, 0u);
}

// used + bytes would wrap.
TEST(AdapterCache, NoBudgetIsLargeEnoughForMoreThanThereCanBe) {
  FakeLoads fake(SIZE_MAX);
  const auto used = fake.cache.get("40/a");
  const auto room = fake.cache.charge(SIZE_MAX - 10);
  EXPECT_EQ(room.status().code(), Code::kDoesNotFit);
  EXPECT_EQ(fake.cache.stats().used_bytes, 40u);
  EXPECT_TRUE(fake.cache.charge(SIZE_MAX - 40).ok());
}

TEST(AdapterCache, PrefetchCountsNeitherAsHitNorMiss) {
  FakeLoads fake(100);
  ASSERT_TRUE(fake.cache.prefetch("40/a").ok());
  EXPECT_EQ(fake.cache.stats().misses, 0u);
  ASSERT_TRUE(fake.cache.get("40/a").ok());
  EXPECT_EQ(fake.cache.stats().hits, 1u);
  EXPECT_EQ(fake.loads, 1);
}

// After any operations the ledger is the sum of what can be counted again.
TEST(AdapterCache, AccountingEqualsARecountAfterRandomOperations) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  FakeLoads fake(1000);
  std::vector<ServedAdapterPtr> in_use;
  std::map<std::string, int> pins;
  for (int step = 0; step < 5000; ++step) {
    const auto number = random() % 40;
    const std::string name =
        std::to_string(10 + number * 7) + "/" + std::to_string(number);
    switch (random() % 6) {
      case 0:
        if (auto got = fake.cache.get(name); got.ok()) in_use.push_back(*got);
        break;
      case 1:
        if (!in_use.empty()) in_use.erase(in_use.begin());
        break;
      case 2:
        if (pins[name] < 2 && fake.cache.pin(name).ok()) ++pins[name];
        break;
      case 3:
        EXPECT_EQ(fake.cache.unpin(name).ok(), pins[name] > 0);
        pins[name] = std::max(0, pins[name] - 1);
        break;
      case 4:
        if (random() % 4 == 0) {
          fake.cache.forget(name);
          pins[name] = 0;
        }
        break;
      default: (void)fake.cache.get(name);
    }
    const CacheStats stats = fake.cache.stats();
    size_t forgotten = 0;
    std::set<const ServedAdapter*> seen;
    for (const auto& adapter : in_use)
      if (adapter.use_count() == std::ranges::count(in_use, adapter) &&
          seen.insert(adapter.get()).second)
        forgotten += adapter->charge.bytes();
    ASSERT_EQ(stats.used_bytes, stats.cached_bytes + forgotten)
        << "step " << step;
    ASSERT_LE(stats.used_bytes, 1000u);
  }
}

TEST(AdapterCache, ThreadsLoadANameOnce) {
  FakeLoads fake(1 << 20);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i)
        EXPECT_TRUE(fake.cache.get("10/" + std::to_string(i)).ok());
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(fake.loads, 100);
  EXPECT_EQ(fake.cache.stats().hits + fake.cache.stats().misses, 400u);
}

}  // namespace
}  // namespace ft
