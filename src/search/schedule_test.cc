#include "search/schedule.h"

#include <gtest/gtest.h>

namespace ft {
namespace {

TEST(Schedule, PaysWholeUpdatesByTheDay) {
  const auto s = energy_schedule({.mj = 20, .ms = 500}, 1000, 100, 7);
  ASSERT_TRUE(s.ok());
  EXPECT_EQ(s->updates_per_day, 50);
  EXPECT_EQ(s->days, 14);
  EXPECT_DOUBLE_EQ(s->epoch_mj, 2000);
  const auto less = energy_schedule({.mj = 20, .ms = 500}, 999, 100, 7);
  EXPECT_EQ(less->updates_per_day, 49);
  EXPECT_EQ(less->days, 15);
}

TEST(Schedule, ADayHasNoMoreTimeThanADay) {
  const auto s = energy_schedule({.mj = 1, .ms = 3.6e6}, 1e9, 48, 1);
  ASSERT_TRUE(s.ok());
  EXPECT_EQ(s->updates_per_day, 24);
  EXPECT_EQ(s->days, 2);
}

TEST(Schedule, RefusesWhatNeverGetsDone) {
  const auto poor = energy_schedule({.mj = 20, .ms = 1}, 19.5, 100, 7);
  ASSERT_FALSE(poor.ok());
  EXPECT_EQ(poor.status().code(), Code::kDoesNotFit);
  EXPECT_NE(poor.status().message().find("works is 20 mJ a day"),
            std::string::npos);
  const auto slow = energy_schedule({.mj = 1, .ms = 1e9}, 100, 100, 7);
  EXPECT_EQ(slow.status().code(), Code::kDoesNotFit);
}

}  // namespace
}  // namespace ft
