#include "cli/report/plan_pictures.h"

#include <gtest/gtest.h>

namespace ft::cli {
namespace {

size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != text.npos; ++at) ++n;
  return n;
}

std::vector<FrontPoint> front() {
  return {{.plan = "head <a>",
           .ram_bytes = 20000,
           .quality = 0.8,
           .step_ms = 1,
           .step_mj = 2},
          {.plan = "fast", .ram_bytes = 30000, .quality = 0.7, .step_ms = 0.5},
          {.plan = "lora",
           .ram_bytes = 90000,
           .quality = 0.99,
           .chosen = true,
           .step_ms = 100,
           .step_mj = 200}};
}

TEST(PlanPictures, TheFrontNamesItsPlansAndMarksTheChosen) {
  const std::string svg = draw_front(front());
  EXPECT_EQ(count(svg, "<circle"), 3u);
  EXPECT_EQ(count(svg, "(chosen)"), 1u);
  EXPECT_NE(svg.find("head &lt;a&gt;: 80 %, 19.5 KiB, 1 ms, 2 mJ"), svg.npos);
  EXPECT_NE(svg.find("point chosen"), svg.npos);
  // One step: the second plan is on the front for its time.
  const size_t stair = svg.find("class=\"line s-train\"");
  const size_t start = svg.rfind("<path", stair);
  EXPECT_EQ(count(svg.substr(start, stair - start), "V"), 1u);
  EXPECT_EQ(draw_front({}), "");
}

TEST(PlanPictures, RanksTellFrozenWholeAndAdaptedApart) {
  const std::string svg = draw_ranks(
      {{"a", 8, true}, {"b", 4, true}, {"c", 0, false}, {"d", 0, true}});
  for (const char* words : {">rank 8<", ">rank 4<", ">frozen<", ">whole<"})
    EXPECT_EQ(count(svg, words), 1u) << words;
}

TEST(PlanPictures, RooflinesHaveACircleForCallsThatMultiply) {
  const Roofline roofline{.calls = {{"conv", "matrix", 1e6, 1e4, 1e6},
                                    {"dw", "depthwise", 1e5, 1e4, 4e5},
                                    {"relu", "elementwise", 0, 1e4, 6e5}},
                          .bytes_per_cycle = 4};
  const std::string svg = draw_roofline(roofline);
  EXPECT_EQ(count(svg, "<circle"), 2u);
  EXPECT_NE(svg.find(">50.0 %<"), svg.npos);
  EXPECT_NE(svg.find(">30.0 %<"), svg.npos);
  EXPECT_NE(svg.find("bandwidth of RAM"), svg.npos);
  EXPECT_EQ(draw_roofline({}), "");
}

TEST(PlanPictures, FilesStandAlone) {
  const std::string file = picture_file(draw_front(front()));
  EXPECT_NE(file.find("xmlns="), file.npos);
  EXPECT_NE(file.find("<style>"), file.npos);
}

}  // namespace
}  // namespace ft::cli
