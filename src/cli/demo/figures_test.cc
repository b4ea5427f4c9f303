#include "cli/demo/figures.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace ft::cli {
namespace {

TEST(WordAccuracy, TellsKnownFromNewWords) {
  const ConfusionMatrix matrix{.title = "",
                               .labels = {"yes", "no", "lamp"},
                               .answers = {"no", "yes", "unknown"},
                               .counts = {{1, 9, 0}, {6, 0, 4}, {0, 0, 20}}};
  const WordAccuracy a = word_accuracy(matrix, {"yes", "no"});
  EXPECT_DOUBLE_EQ(a.known, 15.0 / 20);
  EXPECT_DOUBLE_EQ(a.fresh, 0);
  EXPECT_DOUBLE_EQ(a.all, 15.0 / 40);
  EXPECT_EQ(word_accuracy({}, {}).all, 0);
}

TEST(DemoTable, HoldsEveryFigureWithin80Columns) {
  const DemoFigures figures{.before = {0.31, 0.465, 0},
                            .after = {0.979, 0.981, 0.972},
                            .merged = {0.9771, 0.98, 0.97},
                            .known_words = 8,
                            .new_words = 4,
                            .base_bytes = 30336,
                            .merged_bytes = 31234,
                            .arena_bytes = 123456,
                            .persistent_bytes = 45678,
                            .scratch_bytes = 1280,
                            .adapter_bytes = 21098,
                            .steps = 2400,
                            .step_ms = 0.614,
                            .train_seconds = 1.53};
  const std::string table = print_table(figures);
  for (const char* part :
       {"31.0 %", "46.5 %", "0.0 %", "97.9 %", "98.1 %", "97.2 %", "97.7 %",
        "30,336 B", "31,234 B", "123,456 B", "45,678 B", "1,280 B", "21,098 B",
        "2400 steps", "0.61 ms", "1.5 s", "all 12 words", "4 new words"})
    EXPECT_NE(table.find(part), std::string::npos) << part << table;
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);)
    EXPECT_LE(line.size(), 80u) << line;
}

}  // namespace
}  // namespace ft::cli
