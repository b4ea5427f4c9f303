#include "data/csv.h"

#include <gtest/gtest.h>

#include <cmath>

#include "data/test_files.h"
#include "data/windows.h"

namespace ft {
namespace {

TEST(Csv, ReadsNumbersAndKeepsTextColumnsByName) {
  const auto table = parse_csv(
      "\xef\xbb\xbf"
      "date,\"a, b\",c\r\n2016-07-01,1.5, -2e3\r\n\n2016-07-02,+2,7");
  ASSERT_TRUE(table.ok()) << table.status().message();
  EXPECT_EQ(table->rows, 2u);
  EXPECT_EQ(table->numeric_names(), (std::vector<std::string>{"a, b", "c"}));
  EXPECT_EQ((*table->numeric("a, b"))->values, (std::vector<double>{1.5, 2}));
  EXPECT_EQ((*table->numeric("c"))->values, (std::vector<double>{-2000, 7}));
  EXPECT_ERROR_HAS(table->numeric("date"), "line 2: '2016-07-01'");
  EXPECT_ERROR_HAS(table->numeric("d"), "no column 'd'");
}

TEST(Csv, QuotedCellsMayHoldQuotesAndLines) {
  const auto table = parse_csv("a,b\n\"x\n\"\"y\"\"\",1\n2,3\n");
  ASSERT_TRUE(table.ok()) << table.status().message();
  EXPECT_EQ(table->rows, 2u);
  EXPECT_EQ(table->columns[0].first_text, "line 2: 'x\n\"y\"'");
}

TEST(Csv, RefusesMalformedTables) {
  EXPECT_ERROR_HAS(parse_csv("a,b\n1,2\n3\n"), "line 3 has 1 cells, header 2");
  EXPECT_ERROR_HAS(parse_csv("a,a\n1,2\n"), "two columns 'a'");
  EXPECT_ERROR_HAS(parse_csv("a,b\n"), "no rows");
  EXPECT_ERROR_HAS(parse_csv(""), "no rows");
  EXPECT_ERROR_HAS(parse_csv("a\n\"1\n2\n"), "line 2: a quoted cell");
  const auto table = parse_csv("a\n1\nnan\n");
  EXPECT_ERROR_HAS(table->numeric("a"), "line 3: 'nan'");
}

Series counting(size_t rows) {
  Series s{"s.csv", {"a", "b"}, {}};
  for (size_t r = 0; r < rows; ++r) {
    s.values.push_back(static_cast<float>(r));
    s.values.push_back(5.0f);
  }
  return s;
}

TEST(Windows, HistoryThenHorizonAtEachStride) {
  WindowConfig c;
  c.history = 3;
  c.horizon = 2;
  c.stride = 2;
  c.targets = {"a"};
  c.standardize = false;
  const Series s = counting(10);
  EXPECT_EQ(window_count(c, 4), 0u);
  EXPECT_EQ(window_count(c, 5), 1u);
  EXPECT_EQ(window_count(c, 10), 3u);
  ASSERT_TRUE(complete_windows(std::span(&s, 1), 1, c).ok());
  std::vector<float> features, targets;
  ASSERT_TRUE(append_windows(s, c, features, targets).ok());
  EXPECT_EQ(features, (std::vector<float>{0, 5, 1, 5, 2, 5,  //
                                          2, 5, 3, 5, 4, 5,  //
                                          4, 5, 5, 5, 6, 5}));
  EXPECT_EQ(targets, (std::vector<float>{3, 4, 5, 6, 7, 8}));
}

TEST(Windows, StatisticsComeFromTheTrainingRowsOnly) {
  WindowConfig c;
  c.history = 2;
  c.horizon = 1;
  Series s = counting(10);
  // 8 windows, half of them cover rows 0 to 5.
  s.values[2 * 6] = 1e6f;
  ASSERT_TRUE(complete_windows(std::span(&s, 1), 0.5, c).ok());
  EXPECT_EQ(c.columns, s.columns);
  EXPECT_EQ(c.targets, s.columns);
  ASSERT_EQ(c.mean.size(), 4u);
  EXPECT_FLOAT_EQ(c.mean[0], 2.5f);
  EXPECT_FLOAT_EQ(c.sd[0], std::sqrt(17.5f / 6));
  EXPECT_FLOAT_EQ(c.mean[1], 5.0f);
  EXPECT_FLOAT_EQ(c.sd[1], 1.0f);  // a constant column
  std::vector<float> features, targets;
  ASSERT_TRUE(append_windows(s, c, features, targets).ok());
  EXPECT_FLOAT_EQ(features[0], -2.5f / c.sd[0]);
  EXPECT_FLOAT_EQ(features[1], 0.0f);
  // Known statistics are used, not measured again.
  WindowConfig stored = c;
  s.values[0] = 99;
  ASSERT_TRUE(complete_windows(std::span(&s, 1), 1, stored).ok());
  EXPECT_EQ(stored.mean, c.mean);
}

TEST(Windows, RefusesShortSeriesAndUnknownColumns) {
  const Series s = counting(4);
  WindowConfig c;
  c.history = 4;
  c.horizon = 1;
  Status status = complete_windows(std::span(&s, 1), 1, c);
  EXPECT_EQ(status.message(),
            "'s.csv' has 4 rows, fewer than history 4 + horizon 1");
  c.columns = {"z"};
  status = complete_windows(std::span(&s, 1), 1, c);
  EXPECT_NE(status.message().find("no numeric column 'z'"), std::string::npos);
  c = {};
  c.history = 2;
  c.targets = {"a"};
  EXPECT_FALSE(complete_windows(std::span(&s, 1), 1, c).ok());
}

}  // namespace
}  // namespace ft
