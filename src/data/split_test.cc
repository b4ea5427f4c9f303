#include "data/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "data/test_files.h"

namespace ft {
namespace {

std::vector<int> labels_of(size_t classes, size_t each) {
  std::vector<int> labels;
  for (size_t i = 0; i < classes * each; ++i)
    labels.push_back(static_cast<int>(i % classes));
  return labels;
}

void expect_partition(const Split& split, size_t samples) {
  std::multiset<uint32_t> all;
  for (const auto* part : {&split.train, &split.validation, &split.test}) {
    EXPECT_TRUE(std::is_sorted(part->begin(), part->end()));
    all.insert(part->begin(), part->end());
  }
  ASSERT_EQ(all.size(), samples);
  uint32_t next = 0;
  for (const uint32_t i : all) EXPECT_EQ(i, next++);
}

TEST(Split, PerClassTakesExactlySoManyOfEach) {
  const std::vector<int> labels = labels_of(10, 50);
  const auto split = split_per_class(labels, 10, 10, 0.2, 1);
  ASSERT_TRUE(split.ok()) << split.status().message();
  expect_partition(*split, 500);
  std::vector<int> train(10), validation(10), test(10);
  for (const uint32_t i : split->train) ++train[size_t(labels[i])];
  for (const uint32_t i : split->validation) ++validation[size_t(labels[i])];
  for (const uint32_t i : split->test) ++test[size_t(labels[i])];
  EXPECT_EQ(train, std::vector<int>(10, 8));
  EXPECT_EQ(validation, std::vector<int>(10, 2));
  EXPECT_EQ(test, std::vector<int>(10, 40));
}

TEST(Split, DependsOnTheSeedOnly) {
  const std::vector<int> labels = labels_of(4, 25);
  const auto a = split_per_class(labels, 4, 5, 0, 7);
  const auto b = split_per_class(labels, 4, 5, 0, 7);
  const auto c = split_per_class(labels, 4, 5, 0, 8);
  EXPECT_EQ(a->train, b->train);
  EXPECT_NE(a->train, c->train);
  // A validation part is cut out of the same training samples.
  const auto d = split_per_class(labels, 4, 5, 0.4, 7);
  EXPECT_EQ(a->test, d->test);
}

TEST(Split, RefusesClassesThatAreTooSmall) {
  const std::vector<int> labels = {0, 0, 0, 1, 1};
  EXPECT_TRUE(split_per_class(labels, 2, 1, 0, 1).ok());
  EXPECT_ERROR_HAS(split_per_class(labels, 2, 2, 0, 1),
                   "class 1 has 2 samples");
  EXPECT_ERROR_HAS(split_per_class(labels, 3, 1, 0, 1),
                   "class 2 has 0 samples");
  EXPECT_ERROR_HAS(split_per_class(labels, 2, 0, 0, 1), "0 training samples");
  EXPECT_ERROR_HAS(split_per_class(labels, 2, 1, 1.0, 1), "validation");
}

TEST(Split, FractionsInOrderAndShuffled) {
  const auto fractions = parse_fractions("12/4/4");
  ASSERT_TRUE(fractions.ok());
  const auto ordered =
      split_fractions(100, *fractions, SplitOrder::kInOrder, 1);
  ASSERT_TRUE(ordered.ok());
  expect_partition(*ordered, 100);
  EXPECT_EQ(ordered->train.size(), 60u);
  EXPECT_EQ(ordered->train.back(), 59u);
  EXPECT_EQ(ordered->test.front(), 80u);
  const auto mixed = split_fractions(100, *fractions, SplitOrder::kShuffled, 1);
  expect_partition(*mixed, 100);
  EXPECT_NE(mixed->train, ordered->train);
  EXPECT_EQ(mixed->validation.size(), 20u);
  EXPECT_ERROR_HAS(split_fractions(1, *fractions, SplitOrder::kInOrder, 1),
                   "too few");
  EXPECT_ERROR_HAS(split_fractions(0, *fractions, SplitOrder::kInOrder, 1),
                   "too few");
}

TEST(Split, HoldsOutAPartOfWhatTrains) {
  const auto whole =
      split_fractions(100, {0.8, 0, 0.2}, SplitOrder::kShuffled, 1);
  Split mixed = *whole, again = *whole, none = *whole;
  ASSERT_TRUE(hold_out(mixed, 0.25, SplitOrder::kShuffled, 1).ok());
  ASSERT_TRUE(hold_out(again, 0.25, SplitOrder::kShuffled, 1).ok());
  ASSERT_TRUE(hold_out(none, 0, SplitOrder::kShuffled, 1).ok());
  expect_partition(mixed, 100);
  EXPECT_EQ(mixed.train.size(), 60u);
  EXPECT_EQ(mixed.validation.size(), 20u);
  EXPECT_EQ(mixed.test, whole->test);
  EXPECT_EQ(mixed.validation, again.validation);
  EXPECT_EQ(none.train, whole->train);
  const auto said = [](const Status& status) { return status.message(); };
  EXPECT_NE(
      said(hold_out(mixed, 0.25, SplitOrder::kShuffled, 1)).find("contradict"),
      std::string::npos);
  Split series = *split_fractions(10, {1, 0, 0}, SplitOrder::kInOrder, 1);
  EXPECT_NE(said(hold_out(series, 0.05, SplitOrder::kInOrder, 1))
                .find("0.05 of 10 training samples"),
            std::string::npos);
  ASSERT_TRUE(hold_out(series, 0.2, SplitOrder::kInOrder, 1).ok());
  EXPECT_EQ(series.validation, (std::vector<uint32_t>{8, 9}));
}

TEST(Split, ParsesFractions) {
  EXPECT_EQ(*parse_fractions("80/20"), (std::array{0.8, 0.0, 0.2}));
  EXPECT_EQ(*parse_fractions("1/0/0"), (std::array{1.0, 0.0, 0.0}));
  for (const char* bad : {"", "1", "a/b", "1/2/3/4", "0/0/0", "-1/2", "1/",
                          "0/1", "inf/1", "1//2"})
    EXPECT_FALSE(parse_fractions(bad).ok()) << bad;
}

TEST(Split, ShuffledIsAPermutation) {
  std::vector<uint32_t> order = shuffled(1000, 3, "x");
  EXPECT_NE(order, shuffled(1000, 3, "y"));
  std::sort(order.begin(), order.end());
  for (uint32_t i = 0; i < 1000; ++i) ASSERT_EQ(order[i], i);
  EXPECT_TRUE(shuffled(0, 3, "x").empty());
}

}  // namespace
}  // namespace ft
