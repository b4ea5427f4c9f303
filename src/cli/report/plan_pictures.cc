#include "cli/report/plan_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/report/scatter.h"
#include "cli/report/style.h"

namespace ft::cli {
namespace {

constexpr double kRow = 18, kLetter = 6.4;
constexpr size_t kMostRows = 60;

std::string percent(double share) {
  return fmt::format("{:.4g} %", 100 * share);
}

std::string text_of(const FrontPoint& p) {
  std::string text =
      fmt::format("{}: {}, {}", p.plan,
                  p.is_accuracy ? percent(p.quality)
                                : fmt::format("error {:.4g}", p.quality),
                  format_bytes(p.ram_bytes));
  if (std::isfinite(p.step_ms)) text += fmt::format(", {:.4g} ms", p.step_ms);
  if (std::isfinite(p.step_mj)) text += fmt::format(", {:.4g} mJ", p.step_mj);
  return text;
}

double largest(const std::vector<FrontPoint>& front) {
  double most = 0;
  for (const FrontPoint& p : front)
    if (std::isfinite(p.step_ms)) most = std::max(most, p.step_ms);
  return most;
}

// Those that are better than all with less RAM; the others are on the front for
// their time or energy.
std::vector<size_t> rising(const std::vector<FrontPoint>& front) {
  std::vector<size_t> order;
  const auto better = [](const FrontPoint& a, const FrontPoint& b) {
    return a.is_accuracy ? a.quality > b.quality : a.quality < b.quality;
  };
  for (size_t i = 0; i < front.size(); ++i)
    if (order.empty() || better(front[i], front[order.back()]))
      order.push_back(i);
  return order;
}

struct Bar {
  std::string name, words, css_class;
  double share;  // of the longest
};

double height_of(size_t bars) {
  return kRow * static_cast<double>(std::min(bars, kMostRows) +
                                    (bars > kMostRows ? 1 : 0));
}

// Bars one below the other from `top` on: name, bar, words.
void draw_bars(Svg& svg, double top, double width,
               const std::vector<Bar>& bars) {
  constexpr size_t kName = 34;
  size_t letters = 0;
  for (const Bar& b : bars)
    letters = std::max(letters, std::min(b.name.size(), kName));
  const double left = 16 + kLetter * static_cast<double>(letters);
  const double longest = width - left - 90;
  double y = top;
  for (size_t i = 0; i < std::min(bars.size(), kMostRows); ++i, y += kRow) {
    const Bar& b = bars[i];
    svg.open(fmt::format("{}: {}", b.name, b.words));
    svg.text(left - 8, y + 12, shorten(b.name, kName), "tick end");
    if (b.share > 0)
      svg.rect(left, y + 2, std::max(1.0, longest * b.share), kRow - 5,
               b.css_class);
    svg.text(left + longest * b.share + 6, y + 12, b.words, "");
    svg.close();
  }
  if (bars.size() > kMostRows)
    svg.text(left, y + 12, fmt::format("and {} more", bars.size() - kMostRows),
             "tick");
}

}  // namespace

std::string draw_front(const std::vector<FrontPoint>& front) {
  if (front.empty()) return "";
  std::vector<ScatterPoint> points;
  const double most = largest(front);
  for (size_t i = 0; i < front.size(); ++i) {
    const FrontPoint& p = front[i];
    const bool timed = most > 0 && std::isfinite(p.step_ms);
    points.push_back({.x = p.ram_bytes,
                      .y = p.quality,
                      .radius = timed ? 3 + 6 * std::sqrt(p.step_ms / most) : 5,
                      .css_class = p.chosen ? "chosen" : "c-matrix",
                      .label = fmt::format("{}", i + 1),
                      .hover = text_of(p)});
  }
  const bool accuracy = front[0].is_accuracy;
  Scatter scatter(
      {.title = "RAM of training", .bytes = true, .format = format_bytes},
      {.title = accuracy ? "accuracy on held-back samples"
                         : "error on held-back samples",
       .format = accuracy ? percent
                          : [](double v) { return fmt::format("{:.3g}", v); }},
      points, kRow * static_cast<double>(front.size() + 1) + 8,
      fmt::format("Pareto front of {} plans", front.size()));
  scatter.draw_stair(rising(front));
  scatter.draw_points();
  double y = scatter.height() + 12;
  for (size_t i = 0; i < front.size(); ++i, y += kRow)
    scatter.svg().text(scatter.left() - 56, y,
                       fmt::format("{}  {}{}", i + 1, text_of(front[i]),
                                   front[i].chosen ? " (chosen)" : ""),
                       front[i].chosen ? "point-label" : "tick");
  if (most > 0)
    scatter.svg().text(scatter.left() - 56, y, "larger circles: slower steps",
                       "axis");
  return std::move(scatter).finish();
}

std::string draw_ranks(const std::vector<RankBar>& ranks) {
  if (ranks.empty()) return "";
  int most = 1;
  for (const RankBar& r : ranks) most = std::max(most, r.r);
  std::vector<Bar> bars;
  for (const RankBar& r : ranks) {
    const bool whole = r.adapted && r.r == 0;
    bars.push_back({.name = r.layer,
                    .words = !r.adapted ? "frozen"
                             : whole    ? "whole"
                                        : fmt::format("rank {}", r.r),
                    .css_class = "c-matrix",
                    .share = whole       ? 1
                             : r.adapted ? static_cast<double>(r.r) / most
                                         : 0});
  }
  constexpr double kWidth = 720;
  Svg svg(kWidth, height_of(bars.size()) + 8, "scatter",
          fmt::format("Rank of each of {} layers", ranks.size()));
  draw_bars(svg, 4, kWidth, bars);
  return std::move(svg).finish();
}

std::string draw_roofline(const Roofline& roofline) {
  std::vector<ScatterPoint> points;
  double all = 0, longest = 0, peak = 0, most = 0, least = 1e300;
  for (const CallPoint& c : roofline.calls) {
    all += c.cycles;
    longest = std::max(longest, c.cycles);
  }
  std::vector<std::pair<std::string, double>> classes;
  for (const CallPoint& c : roofline.calls) {
    auto of = std::ranges::find(classes, c.cost_class,
                                &std::pair<std::string, double>::first);
    if (of == classes.end()) of = classes.insert(of, {c.cost_class, 0});
    of->second += c.cycles;
    if (c.macs <= 0 || c.bytes <= 0 || c.cycles <= 0) continue;
    points.push_back(
        {.x = c.macs / c.bytes,
         .y = c.macs / c.cycles,
         .radius = 2 + 9 * std::sqrt(c.cycles / longest),
         .css_class = "c-" + c.cost_class,
         .label = {},
         .hover = fmt::format("{}\n{:.4g} MACs, {:.4g} bytes moved, {:.4g} "
                              "cycles ({:.1f} %)",
                              c.name, c.macs, c.bytes, c.cycles,
                              100 * c.cycles / all)});
    peak = std::max(peak, c.macs / c.cycles);
    most = std::max(most, c.macs / c.bytes);
    least = std::min(least, c.macs / c.bytes);
  }
  if (points.empty()) return "";
  // Small circles in front of large ones.
  std::ranges::stable_sort(points, std::greater<>(), &ScatterPoint::radius);
  const auto number = [](double v) { return fmt::format("{:g}", v); };
  Scatter scatter({.title = "multiply-accumulates of a byte moved",
                   .log = true,
                   .format = number},
                  {.title = "multiply-accumulates of a cycle",
                   .log = true,
                   .format = number},
                  points, height_of(classes.size()) + 16,
                  fmt::format("Roofline of {} calls", points.size()));
  scatter.draw_line(least, peak, most, peak, "most of any call");
  if (std::isfinite(roofline.bytes_per_cycle) && roofline.bytes_per_cycle > 0)
    scatter.draw_line(least, least * roofline.bytes_per_cycle,
                      std::min(most, peak / roofline.bytes_per_cycle),
                      std::min(most * roofline.bytes_per_cycle, peak),
                      "bandwidth of RAM");
  scatter.draw_points();
  std::ranges::sort(classes, std::greater<>(),
                    &std::pair<std::string, double>::second);
  std::vector<Bar> bars;
  for (const auto& [name, cycles] : classes)
    bars.push_back({.name = name,
                    .words = fmt::format("{:.1f} %", 100 * cycles / all),
                    .css_class = "c-" + name,
                    .share = cycles / classes[0].second});
  draw_bars(scatter.svg(), scatter.height() + 4, 720, bars);
  return std::move(scatter).finish();
}

std::string picture_file(const std::string& svg) {
  return standalone(svg, style_sheet());
}

}  // namespace ft::cli
