#include "adapters/delta/text_alignment.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace ft {
namespace {

std::span<const std::byte> bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// As an applier does it.
std::string applied(const std::string& from,
                    const std::vector<ft_delta_text>& steps) {
  std::string out;
  size_t at = 0;
  for (const ft_delta_text& s : steps) {
    if (s.op == FT_DELTA_MOVE) {
      at += static_cast<size_t>(s.distance);
      continue;
    }
    out += s.op == FT_DELTA_SAME ? from.at(at) : static_cast<char>(s.byte);
    at += s.op != FT_DELTA_INSERT;
  }
  return out;
}

size_t count(const std::vector<ft_delta_text>& steps, ft_delta_text_op op) {
  size_t n = 0;
  for (const ft_delta_text& s : steps) n += s.op == op;
  return n;
}

TEST(TextAlignment, TellsChangesInsertionsAndOmissions) {
  const std::string from =
      R"({"loss":"0.25","seed":"1","r":"4","epochs":"10"})";
  const std::string to = R"({"loss":"0.125","r":"4","epochs":"10","x":"y"})";
  const auto steps = align_text(bytes(from), bytes(to));
  EXPECT_EQ(applied(from, steps), to);
  EXPECT_EQ(count(steps, FT_DELTA_MOVE), 1U);
  EXPECT_GE(count(steps, FT_DELTA_SAME), 35U);
}

TEST(TextAlignment, EqualTextsAreNothingButTheSame) {
  const std::string text(1000, 'a');
  const auto steps = align_text(bytes(text), bytes(text));
  EXPECT_EQ(count(steps, FT_DELTA_SAME), text.size());
}

TEST(TextAlignment, RandomEdits) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 300; ++round) {
    std::string from, to;
    for (auto n = random() % 400; n > 0; --n)
      from += static_cast<char>('a' + random() % 4);
    to = from;
    for (auto edits = random() % 12; edits > 0; --edits) {
      const size_t at = to.empty() ? 0 : random() % to.size();
      if (random() % 2 != 0)
        to.erase(at, random() % 30);
      else
        to.insert(at, std::string(random() % 30, 'b'));
    }
    EXPECT_EQ(applied(from, align_text(bytes(from), bytes(to))), to);
  }
}

// Too long for the table: still right.
TEST(TextAlignment, LongTexts) {
  const std::string from(300000, 'x');
  std::string to = from + "tail";
  to[7] = 'y';
  EXPECT_EQ(applied(from, align_text(bytes(from), bytes(to))), to);
}

}  // namespace
}  // namespace ft
