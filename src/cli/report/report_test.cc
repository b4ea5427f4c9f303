#include "cli/report/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <regex>
#include <string>
#include <vector>

#include "cli/report/pictures.h"
#include "cli/report/svg.h"

namespace ft::cli {
namespace {

// Names of tags that are opened and not closed again in order; empty: none.
// `<!doctype>` and void elements of HTML do not count.
std::vector<std::string> unbalanced_tags(const std::string& page) {
  std::vector<std::string> open;
  static const std::regex tag("<(/?)([a-z0-9]+)([^<>]*?)(/?)>");
  for (auto it = std::sregex_iterator(page.begin(), page.end(), tag);
       it != std::sregex_iterator(); ++it) {
    const std::string name = (*it)[2];
    if (name == "meta" || (*it)[4].length() > 0) continue;
    if ((*it)[1].length() == 0) {
      open.push_back(name);
    } else if (!open.empty() && open.back() == name) {
      open.pop_back();
    } else {
      open.push_back("/" + name);
      break;
    }
  }
  return open;
}

struct Bar {
  double x, y, width, height;
};

std::vector<Bar> bars_of(const std::string& svg) {
  static const std::regex bar(
      "<rect x=\"([^\"]+)\" y=\"([^\"]+)\" width=\"([^\"]+)\" "
      "height=\"([^\"]+)\" class=\"b-");
  std::vector<Bar> bars;
  for (auto it = std::sregex_iterator(svg.begin(), svg.end(), bar);
       it != std::sregex_iterator(); ++it)
    bars.push_back({std::stod((*it)[1]), std::stod((*it)[2]),
                    std::stod((*it)[3]), std::stod((*it)[4])});
  return bars;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos;
       at = text.find(part, at + part.size()))
    ++count;
  return count;
}

size_t letters_of(const std::string& utf8) {
  return static_cast<size_t>(std::ranges::count_if(utf8, [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

// A valid plan: each buffer lies above those that it is alive with.
MemoryMap stacked_map(int buffers, unsigned seed) {
  std::mt19937 random(seed);
  MemoryMap map{.buffers = {}, .calls = {}};
  for (int i = 0; i < buffers; ++i) {
    const int first = static_cast<int>(random() % 200);
    MapBuffer b{.name = "functional_1/conv2d_" + std::to_string(i) + "/Relu;x",
                .kind = static_cast<BufferKind>(random() % 4),
                .offset = 0,
                .bytes = 64 + random() % 4000,
                .first_use = first,
                .last_use = first + static_cast<int>(random() % 30)};
    for (const MapBuffer& other : map.buffers)
      if (other.first_use <= b.last_use && b.first_use <= other.last_use)
        b.offset = std::max(b.offset, other.offset + other.bytes);
    map.arena_bytes = std::max(map.arena_bytes, b.offset + b.bytes);
    map.buffers.push_back(b);
  }
  map.lower_bound_bytes = map.arena_bytes;
  map.calls.assign(230, "conv2d (functional_1/conv2d/Relu)");
  map.backward_call = 90;
  map.fullest_call = 100;
  return map;
}

ReportData full_report() {
  ReportData data{.title = "A report", .subtitle = "A model.", .command = "x"};
  data.figures = {{"accuracy", "97.5 %", "was 8.3 %"}, {"arena", "34 B"}};
  data.memory = stacked_map(40, 1);
  for (int e = 1; e <= 12; ++e)
    data.curve.push_back({e, 2.0 / e, 2.2 / e, 1 - 1.0 / e});
  data.confusions = {{"before", {"yes", "no"}, {"yes", "no"}, {{3, 1}, {0, 4}}},
                     {"other", {"tea"}, {"yes", "no"}, {{5, 6}}}};
  data.tables = {{"Figures", {"", "before"}, {{"accuracy", "0.9"}}}};
  return data;
}

TEST(Report, IsOneWellFormedPageThatLoadsNothing) {
  const std::string page = render_report(full_report());
  EXPECT_EQ(unbalanced_tags(page), std::vector<std::string>{});
  for (const char* part : {"http:", "https:", "src=", "href=", "url(",
                           "@import", "<script", "<link"})
    EXPECT_EQ(page.find(part), page.npos) << part;
  EXPECT_NE(page.find("prefers-color-scheme: dark"), page.npos);
  EXPECT_NE(page.find("width=device-width"), page.npos);
}

TEST(Report, EscapesEveryString) {
  const std::string bad = "<b>\"&'\x01";
  ReportData data = full_report();
  data.title = data.subtitle = data.command = bad;
  data.figures = {{bad, bad, bad}};
  for (MapBuffer& b : data.memory->buffers) b.name = bad;
  for (std::string& call : data.memory->calls) call = bad;
  data.confusions = {{bad, {bad}, {bad}, {{1}}}};
  data.tables = {{bad, {bad}, {{bad}}}};
  const std::string page = render_report(data);
  EXPECT_EQ(page.find("<b>"), page.npos);
  EXPECT_EQ(page.find('\x01'), page.npos);
  EXPECT_EQ(unbalanced_tags(page), std::vector<std::string>{});
}

TEST(Report, LeavesOutPartsWithoutData) {
  const std::string page = render_report({.title = "empty"});
  EXPECT_EQ(page.find("<section"), page.npos);
  EXPECT_EQ(page.find("<svg"), page.npos);
  EXPECT_EQ(unbalanced_tags(page), std::vector<std::string>{});
}

TEST(MemoryMapPicture, BarsHaveTheProportionsOfTheBuffers) {
  MemoryMap map{.buffers = {{.name = "a", .bytes = 1000, .last_use = 4},
                            {.name = "b",
                             .offset = 1000,
                             .bytes = 3000,
                             .first_use = 5,
                             .last_use = 14}},
                .calls = std::vector<std::string>(20, "op")};
  map.arena_bytes = 4000;
  const std::vector<Bar> bars = bars_of(draw_memory_map(map));
  ASSERT_EQ(bars.size(), 2u);
  EXPECT_NEAR(bars[1].width, 2 * bars[0].width, 0.1);
  EXPECT_NEAR(bars[1].height, 3 * bars[0].height, 0.1);
  EXPECT_NEAR(bars[0].x + bars[0].width, bars[1].x, 0.1);
  EXPECT_NEAR(bars[1].y + bars[1].height, bars[0].y, 0.1);
}

TEST(MemoryMapPicture, DrawsHundredsOfBuffersWithinTheFrame) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  const std::string svg = draw_memory_map(stacked_map(500, seed));
  const std::vector<Bar> bars = bars_of(svg);
  ASSERT_EQ(bars.size(), 500u);
  for (const Bar& b : bars) {
    EXPECT_GE(b.x, 0);
    EXPECT_LE(b.x + b.width, 1000);
    EXPECT_GE(b.y, 0);
    EXPECT_GE(b.width, 1);
    EXPECT_GE(b.height, 0.75);
  }
  EXPECT_EQ(count_of(svg, "<title>functional_1/"), 500u);
  EXPECT_LT(svg.size(), 500'000u);
}

TEST(MemoryMapPicture, NamesFitTheirBars) {
  const std::string svg = draw_memory_map(stacked_map(300, 7));
  static const std::regex labelled(
      "width=\"([^\"]+)\" height=\"([^\"]+)\" class=\"b-[^\n]*\n"
      "<text [^\n]*class=\"bar-label\" >([^<]*)<");
  size_t labels = 0;
  for (auto it = std::sregex_iterator(svg.begin(), svg.end(), labelled);
       it != std::sregex_iterator(); ++it, ++labels)
    EXPECT_LE(static_cast<double>(letters_of((*it)[3])) * 6.1,
              std::stod((*it)[1]));
  EXPECT_EQ(labels, count_of(svg, "class=\"bar-label\""));
}

TEST(CurvePicture, SkipsMissingValuesAndRingsTheBestEpoch) {
  std::vector<CurvePoint> curve = {{.epoch = 1, .train_loss = 2},
                                   {.epoch = 2, .train_loss = 1},
                                   {.epoch = 3, .train_loss = 1.5}};
  const std::string svg = draw_loss_curve(curve);
  EXPECT_EQ(svg.find("nan"), svg.npos);
  EXPECT_EQ(svg.find("s-validation"), svg.npos);
  EXPECT_NE(svg.find("<title>epoch 2: the adapter that is kept"), svg.npos);
  EXPECT_EQ(draw_accuracy_curve(curve), "");
  curve[2].validation_loss = 0.5;
  EXPECT_NE(draw_loss_curve(curve).find("<title>epoch 3: the adapter"),
            std::string::npos);
  EXPECT_EQ(draw_loss_curve({}), "");
}

TEST(ConfusionPicture, CountsByNameNotByPosition) {
  const ConfusionMatrix m{
      "t", {"tea", "yes"}, {"yes", "no", "tea"}, {{2, 0, 6}, {1, 3, 0}}};
  EXPECT_DOUBLE_EQ(accuracy_of(m), 7.0 / 12);
  const std::string svg = draw_confusion(m);
  EXPECT_NE(svg.find("<title>label tea, answer tea: 6 of 8<"), svg.npos);
  EXPECT_EQ(count_of(svg, "cell right"), 2u);
  EXPECT_EQ(count_of(svg, "cell wrong"), 2u);
  EXPECT_EQ(
      accuracy_of(
          {.title = "", .labels = {"a"}, .answers = {"a"}, .counts = {{0}}}),
      0);
}

TEST(Svg, TicksAreRoundAndInside) {
  EXPECT_EQ(nice_ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(nice_ticks(3, 3, 5), std::vector<double>{3});
  EXPECT_EQ(binary_ticks(100, 4), (std::vector<double>{0, 32, 64, 96}));
  for (const double hi : {1e-6, 0.37, 12.0, 9999.0})
    EXPECT_LE(nice_ticks(0, hi, 6).size(), 7u) << hi;
}

TEST(Svg, ShortensWithoutCuttingLetters) {
  EXPECT_EQ(shorten("abcdef", 6), "abcdef");
  EXPECT_EQ(shorten("abcdefg", 6), "abcde…");
  EXPECT_EQ(shorten("äöüß", 3), "äö…");
  EXPECT_EQ(shorten("", 3), "");
}

TEST(Svg, FormatsBytes) {
  EXPECT_EQ(format_bytes(812), "812 B");
  EXPECT_EQ(format_bytes(4096), "4 KiB");
  EXPECT_EQ(format_bytes(3500), "3.4 KiB");
  EXPECT_EQ(format_bytes(3.0 * 1024 * 1024), "3 MiB");
  EXPECT_EQ(exact_bytes(34112), "34,112 B");
  EXPECT_EQ(exact_bytes(999), "999 B");
  EXPECT_EQ(exact_bytes(1234567), "1,234,567 B");
}

}  // namespace
}  // namespace ft::cli
