// A power cut after every single byte that is erased or programmed, in three
// kinds of torn writes and four geometries of flash: afterwards the old adapter
// runs or the new one, never a mix, and no version is ever taken back.
#include <gtest/gtest.h>

#include <algorithm>

#include "test_store.h"

namespace ft::test {
namespace {

constexpr uint32_t kVersions = 5, kSteps = 3 * kVersions;

// What a device does in these tests, with what was achieved before the cut.
struct Life {
  explicit Life(const Geometry& geometry)
      : config(test_config(geometry)),
        flash(ft_flash_region_bytes(&config), geometry.page_bytes,
              geometry.program_bytes) {}

  ft_flash_status open() {
    config.driver = flash.driver();  // a Life may have been copied
    return ft_flash_open(&store, &config);
  }
  // Step by step: adapter 1, two states of it, adapter 2, ...
  void step(uint32_t i) {
    const uint32_t version = 1 + i / 3, state = 10 * version + i % 3 - 1;
    if (i % 3 == 0) {
      if (install(store, make_image(version), 61) == FT_FLASH_OK)
        installed = version;
    } else if (save(store, state) == FT_FLASH_OK) {
      saved = state;
    }
  }
  // Until the power goes.
  void live() {
    (void)open();
    for (uint32_t i = 0; i < kSteps && flash.is_on(); ++i) step(i);
  }

  ft_flash_config config;
  SimFlash flash;
  ft_flash store;
  uint32_t installed = 0, saved = 0;
};

// The state that can be resumed; 0: none. -1: a mix.
int resumable(const ft_flash& store) {
  const uint8_t* state = nullptr;
  if (ft_flash_load_state(&store, &state) != FT_FLASH_OK) return 0;
  for (uint32_t number = 10; number <= 10 * kVersions + 1; ++number) {
    const auto values = state_values(number);
    if (std::equal(values.begin(), values.end(), state))
      return static_cast<int>(number);
  }
  return -1;
}

// After a cut: old or new, all of it; and the same at every later start.
void expect_whole(Life& life, uint64_t cut) {
  const ft_flash_status status = life.open();
  ASSERT_TRUE(status == FT_FLASH_OK || status == FT_FLASH_NO_ADAPTER) << cut;
  const int running = running_adapter(life.store, kVersions);
  const auto done = static_cast<int>(life.installed);
  ASSERT_TRUE(running == done || running == done + 1) << cut << ' ' << running;
  ASSERT_EQ(ft_flash_highest_version(&life.store),
            static_cast<uint32_t>(running))
      << cut;
  const int state = resumable(life.store);
  const auto saved = static_cast<int>(life.saved);
  const auto next = saved == 0 ? 10 : saved % 10 == 0 ? saved + 1 : saved + 9;
  // Of the adapter before: stale. Of this one: the last or the one in progress.
  ASSERT_TRUE(state == next || state == (saved / 10 == running ? saved : 0))
      << cut << ": state " << state << " after " << saved;
  const ft_flash first = life.store;
  ASSERT_EQ(life.open(), status);
  ASSERT_EQ(running_adapter(life.store, kVersions), running);
  ASSERT_EQ(life.store.sequence, first.sequence);
}

// Goes on as if nothing had been, and cannot go back.
void expect_goes_on(Life& life, uint64_t cut) {
  const int running = running_adapter(life.store, kVersions);
  if (running > 1) {
    ASSERT_EQ(install(life.store, make_image(1)), FT_FLASH_OLDER_VERSION);
    ASSERT_EQ(running_adapter(life.store, kVersions), running) << cut;
  }
  const auto next = static_cast<uint32_t>(running) + 1;
  ASSERT_EQ(install(life.store, make_image(next)), FT_FLASH_OK) << cut;
  ASSERT_EQ(save(life.store, 10), FT_FLASH_OK) << cut;
  ASSERT_EQ(life.open(), FT_FLASH_OK) << cut;
  ASSERT_EQ(running_adapter(life.store, next), static_cast<int>(next)) << cut;
  ASSERT_EQ(resumable(life.store), 10) << cut;
  // Torn units were stepped over or erased, not programmed again.
  ASSERT_EQ(life.flash.violations(), 0) << cut;
}

uint64_t bytes_of_a_life(const Geometry& geometry) {
  Life life(geometry);
  life.live();
  EXPECT_EQ(life.installed, kVersions);
  EXPECT_EQ(life.saved, 10 * kVersions + 1);
  EXPECT_EQ(life.flash.violations(), 0);
  return life.flash.worked();
}

class PowerCut : public testing::TestWithParam<Geometry> {};
INSTANTIATE_TEST_SUITE_P(Geometries, PowerCut, testing::ValuesIn(kGeometries));

#ifdef FT_SANITIZED
constexpr uint64_t kStride = 7;  // a tenth of the speed: every seventh byte
#else
constexpr uint64_t kStride = 1;
#endif

TEST_P(PowerCut, LeavesTheOldAdapterOrTheNewOne) {
  Life before(GetParam());
  uint64_t points = 0;
  for (uint32_t i = 0; i < kSteps; ++i) {
    (void)before.open();
    Life after = before;
    (void)after.open();
    after.step(i);
    const uint64_t bytes = after.flash.worked() - before.flash.worked();
    for (const Torn torn : {Torn::kPrefix, Torn::kRandom, Torn::kAllBits})
      for (uint64_t cut = 0; cut <= bytes; cut += kStride, ++points) {
        Life life = before;
        (void)life.open();
        life.flash.cut_after(cut, torn, static_cast<uint32_t>(points));
        life.step(i);
        ASSERT_FALSE(life.flash.is_on());
        life.flash.power_on();
        expect_whole(life, cut);
        if (HasFatalFailure()) return;
        if (points % 4 == 0) expect_goes_on(life, cut);
        if (HasFatalFailure()) return;
      }
    before = after;
  }
  EXPECT_EQ(before.flash.violations(), 0);
  EXPECT_GT(points, 20000 / kStride);
  RecordProperty("points", static_cast<int>(points));
}

// Two adapters of one version: one of them runs, whenever the power goes.
TEST_P(PowerCut, DuringASwapLeavesOneOfTheTwo) {
  for (const Torn torn : {Torn::kPrefix, Torn::kRandom, Torn::kAllBits}) {
    bool done = false;
    for (uint64_t cut = 0; !done; ++cut) {
      Life life(GetParam());
      (void)life.open();
      // The first page of the log may be full with two records.
      ASSERT_EQ(install(life.store, make_image(2)), FT_FLASH_OK);
      ASSERT_EQ(install(life.store, make_image(2)), FT_FLASH_OK);
      const uint8_t* old_adapter = ft_flash_adapter(&life.store);
      const uint8_t* new_adapter = ft_flash_other_adapter(&life.store);
      ASSERT_NE(new_adapter, nullptr);
      life.flash.cut_after(cut, torn, static_cast<uint32_t>(cut));
      const bool swapped = ft_flash_swap(&life.store) == FT_FLASH_OK;
      done = life.flash.is_on();
      life.flash.power_on();
      ASSERT_EQ(life.open(), FT_FLASH_OK) << cut;
      const uint8_t* runs = ft_flash_adapter(&life.store);
      ASSERT_TRUE(runs == new_adapter || (runs == old_adapter && !swapped));
      ASSERT_EQ(running_adapter(life.store, 2), 2);
      ASSERT_EQ(ft_flash_swap(&life.store), FT_FLASH_OK);
      ASSERT_NE(ft_flash_adapter(&life.store), runs);
    }
  }
}

// The power goes again while the device makes up for the first cut.
TEST_P(PowerCut, MayComeTwice) {
  const uint64_t bytes = bytes_of_a_life(GetParam());
  std::minstd_rand engine(5);
  const auto random = [&] { return static_cast<uint32_t>(engine()); };
  for (uint64_t round = 0; round < 2000 / kStride; ++round) {
    Life life(GetParam());
    const uint64_t cut = random() % bytes;
    life.flash.cut_after(cut, Torn::kRandom, random());
    life.live();
    for (int again = 0; again < 3; ++again) {
      life.flash.power_on();
      expect_whole(life, cut);
      if (HasFatalFailure()) return;
      const auto running =
          static_cast<uint32_t>(running_adapter(life.store, kVersions));
      life.installed = running;
      life.saved = static_cast<uint32_t>(resumable(life.store));
      life.flash.cut_after(random() % 1200, Torn::kAllBits, random());
      if (running < kVersions &&
          install(life.store, make_image(running + 1)) == FT_FLASH_OK)
        life.installed = running + 1;
    }
    life.flash.power_on();
    expect_goes_on(life, cut);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace ft::test
