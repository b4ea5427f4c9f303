#include "base/toml_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace ft {
namespace {

using testing::HasSubstr;

// What reading `text` with `read` says.
template <class Read>
std::string said(const std::string& text, const Read& read) {
  auto file = TomlFile::parse(text, "f.toml");
  if (!file.ok()) return file.status().message();
  read(file->root());
  return file->status().ok() ? "" : file->status().message();
}

TEST(TomlTable, ReadsEveryKind) {
  EXPECT_EQ(
      said("a = \"x\"\nb = true\nc = 7\nd = 2\ne = [\"p\", \"q\"]\n"
           "f = [1, 2.5]\n[g]\nh = 1\n[[i]]\nj = 1\n[[i]]\nj = 2\n",
           [](TomlTable t) {
             EXPECT_EQ(t.text("a"), "x");
             EXPECT_TRUE(t.flag("b"));
             EXPECT_EQ(t.whole("c"), 7);
             EXPECT_EQ(t.number("d"), 2.0);
             EXPECT_EQ(t.texts("e"), (std::vector<std::string>{"p", "q"}));
             EXPECT_EQ(t.numbers("f"), (std::vector{1.0, 2.5}));
             EXPECT_EQ(t.table("g").whole("h"), 1);
             ASSERT_EQ(t.tables("i").size(), 2u);
             EXPECT_EQ(t.tables("i")[1].whole("j"), 2);
             t.done();
           }),
      "");
}

TEST(TomlTable, LeavesOutWhatMayBeLeftOut) {
  EXPECT_EQ(said("",
                 [](TomlTable t) {
                   int32_t number = 3;
                   std::vector<float> list{1};
                   t.read("number", number);
                   t.read("list", list);
                   EXPECT_EQ(number, 3);
                   EXPECT_EQ(list, std::vector<float>{1});
                   t.done();
                 }),
            "");
}

TEST(TomlTable, TheFirstProblemWinsWithItsLine) {
  const auto whole = [](TomlTable t) { t.whole("a", 1, 9); };
  EXPECT_EQ(said("\na = 0", whole), "f.toml:2: 'a' must be at least 1");
  EXPECT_EQ(said("\na = 10", whole), "f.toml:2: 'a' must be at most 9");
  EXPECT_EQ(said("\na = 1.5", whole), "f.toml:2: 'a' must be a whole number");
  EXPECT_EQ(said("", whole), "f.toml:1: 'a' must be a whole number");
  const auto number = [](TomlTable t) { t.number("a"), t.text("b"); };
  EXPECT_EQ(said("b = 1\na = nan", number), "f.toml:2: 'a' must be a number");
  EXPECT_EQ(said("a = true", number), "f.toml:1: 'a' must be a number");
  EXPECT_EQ(said("a = -1", number), "f.toml:1: 'a' must be from 0 to 1e+18");
  EXPECT_EQ(said("a = 1\nb = 1", number), "f.toml:2: 'b' must be text");
  EXPECT_THAT(said("a = ", number), HasSubstr("f.toml:1: "));
}

TEST(TomlTable, NamesKeysByTheirTables) {
  EXPECT_EQ(said("[a.b]\nc = 1",
                 [](TomlTable t) { t.table("a").table("b").text("c"); }),
            "f.toml:2: 'a.b.c' must be text");
  EXPECT_EQ(said("a = 1", [](TomlTable t) { t.table("a").text("c"); }),
            "f.toml:1: 'a' must be a table");
  EXPECT_EQ(said("a = [1]", [](TomlTable t) { t.tables("a"); }),
            "f.toml:1: 'a' must be tables [[a]]");
}

TEST(TomlTable, RefusesWhatNobodyAskedFor) {
  EXPECT_EQ(said("a = 1\n[t]\nb = 2\nc = 3",
                 [](TomlTable t) {
                   t.whole("a");
                   TomlTable inner = t.table("t");
                   inner.has("b");
                   inner.know({"z"});
                   inner.done();
                   t.done();
                 }),
            "f.toml:4: unknown key 't.c'; there are: b, z");
}

TEST(TomlTable, AMisspeltKeyIsSaidRatherThanWhatIsMissing) {
  EXPECT_EQ(said("epoch = 7", [](TomlTable t) { t.whole("epochs"), t.done(); }),
            "f.toml:1: unknown key 'epoch'; there are: epochs");
}

// As a file from outside may be.
TEST(TomlFile, DamagedTextIsRefusedAndNothingElse) {
  for (const char* text :
       {"[[[", "[[", "[=]", "[[ [", "[.]", "[[]]", "[\"", "a.[b", "= 1",
        "[a]\n[[[b]]]", "x = [[[", "x = {[", "'", "\"\"\"", "[[\"a\"", "a = "})
    EXPECT_FALSE(TomlFile::parse(text, "it").ok()) << text;
  for (const char open : {'[', '{', '"', '='})
    EXPECT_FALSE(TomlFile::parse(std::string(100'000, open), "it").ok());
  constexpr uint64_t kSeed = 1117;
  std::printf("seed %llu\n", static_cast<unsigned long long>(kSeed));
  const Random random(kSeed, "toml");
  const std::string good =
      "format = 1\nbases = [\"8c\", 'x']\n[min_versions]\nkitchen = 3\n"
      "[[key]]\nname = \"a\"\nrevoked = true\n";
  const std::string_view bytes = "[]{}=\"'.,#\n\\ -+_a0\xff";
  uint64_t draw = 0;
  int taken = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = good;
    for (uint32_t i = random.below(draw++, 4); i > 0; --i) {
      const auto at = random.below(draw++, static_cast<uint32_t>(text.size()));
      text[at] =
          bytes[random.below(draw++, static_cast<uint32_t>(bytes.size()))];
    }
    if (random.below(draw++, 4) == 0)
      text.resize(random.below(draw++, static_cast<uint32_t>(text.size())));
    taken += TomlFile::parse(text, "it").ok() ? 1 : 0;
  }
  EXPECT_GT(taken, 1000);
  EXPECT_LT(taken, 19'000);
}

}  // namespace
}  // namespace ft
