#include "data/token_windows.h"

#include <gtest/gtest.h>

#include <numeric>

namespace ft {
namespace {

TEST(TokenWindows, LabelsAreTheNextTokens) {
  std::vector<int> tokens(10);
  std::iota(tokens.begin(), tokens.end(), 100);
  const auto set = window_tokens(tokens, 4, 3);
  ASSERT_TRUE(set.ok()) << set.status().message();
  ASSERT_EQ(set->size(), 2u);  // a third one would need an eleventh token
  EXPECT_EQ(set->feature(1)[0], 103.0f);
  EXPECT_EQ(set->label_size, 4u);
  EXPECT_EQ(set->labels,
            (std::vector<int>{101, 102, 103, 104, 104, 105, 106, 107}));
}

TEST(TokenWindows, RefusesTextsShorterThanAWindow) {
  const std::vector<int> tokens(4, 1);
  EXPECT_TRUE(window_tokens(tokens, 3, 1).ok());
  EXPECT_EQ(window_tokens(tokens, 4, 1).status().code(), Code::kInvalidInput);
  EXPECT_EQ(window_tokens(tokens, 2, 0).status().code(), Code::kUsage);
}

}  // namespace
}  // namespace ft
