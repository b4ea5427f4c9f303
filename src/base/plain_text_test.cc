#include "base/plain_text.h"

#include <gtest/gtest.h>

#include <string>

namespace ft {
namespace {

std::string refusal(std::string_view text, size_t longest = kLongestText) {
  const Status status = check_plain_text("the reason", text, longest);
  EXPECT_TRUE(status.ok() || status.code() == Code::kUsage);
  return status.message();
}

TEST(PlainText, TakesWhatPeopleWrite) {
  for (const char* text :
       {"", "users complain", "20 % slower, 'me@2' < \"me@1\"\\",
        "K\xc3\xbc"
        "che",
        "\xe5\x8f\xb0\xe6\x89\x80", "\xf0\x9f\x91\x8d", "\xf4\x8f\xbf\xbf",
        "\xc2\xa0"})
    EXPECT_EQ(refusal(text), "") << text;
  EXPECT_EQ(refusal(std::string(256, 'a')), "");
}

TEST(PlainText, RefusesControlCharactersAndSaysWhere) {
  EXPECT_EQ(refusal("a\nb"),
            "the reason has the control character U+000A at byte 1");
  EXPECT_NE(refusal(std::string_view("ab\0c", 4)), "");
  for (const char* text : {"\x1b[2J", "\x7f", "\t", "\xc2\x85", "\xc2\x9b",
                           "\xe2\x80\xa8", "\xe2\x80\xae", "\xe2\x81\xa9"})
    EXPECT_NE(refusal(text).find("control character"), std::string::npos);
}

TEST(PlainText, RefusesWhatIsNotUtf8) {
  EXPECT_EQ(refusal("ab\xff"), "the reason is not UTF-8 text at byte 2");
  // Cut, overlong, surrogates, above U+10FFFF, a continuation alone.
  for (const char* text :
       {"\xc3", "\xe2\x80", "\xf0\x9f\x91", "\xc0\x80", "\xc1\xbf",
        "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xed\xa0\x80", "\xed\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\x80", "\xc3("})
    EXPECT_NE(refusal(text).find("not UTF-8"), std::string::npos) << text;
}

TEST(PlainText, RefusesWhatIsTooLong) {
  EXPECT_EQ(refusal(std::string(257, 'a')),
            "the reason has 257 bytes, at most 256 are taken");
  EXPECT_EQ(refusal("abcd", 3), "the reason has 4 bytes, at most 3 are taken");
}

TEST(PlainText, PrintsWhatATerminalWouldObey) {
  EXPECT_EQ(printable("K\xc3\xbc"
                      "che\nx"),
            "K\xc3\xbc"
            "che\nx");
  EXPECT_EQ(printable("\x1b[2J\xff\xe2\x80\xae"),
            "\\x1b[2J\\xff\\xe2\\x80\\xae");
}

}  // namespace
}  // namespace ft
