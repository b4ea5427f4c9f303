#include "cli/report/scatter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ft::cli {
namespace {

constexpr double kWidth = 720, kHeight = 380;
constexpr double kLeft = 76, kRight = 24, kTop = 16, kBottom = kHeight - 50;
constexpr double kRoom = 0.06;  // around the points, of their extent

std::vector<double> of(const std::vector<ScatterPoint>& points,
                       double ScatterPoint::*value) {
  std::vector<double> values;
  for (const ScatterPoint& p : points) values.push_back(p.*value);
  return values;
}

}  // namespace

double Scatter::Mapped::operator()(double value) const {
  return scale(axis.log ? std::log10(value) : value);
}

std::vector<double> Scatter::Mapped::ticks() const {
  if (axis.bytes) {
    std::vector<double> ticks;
    for (const double t : binary_ticks(scale.hi, 7))
      if (t >= scale.lo) ticks.push_back(t);
    return ticks;
  }
  if (!axis.log) return nice_ticks(scale.lo, scale.hi, 6);
  std::vector<double> ticks;
  for (double p = std::ceil(scale.lo); p <= scale.hi; ++p)
    ticks.push_back(std::pow(10, p));
  return ticks;
}

Scatter::Mapped Scatter::mapped(ScatterAxis axis, std::vector<double> values,
                                double from, double to) {
  double lo = axis.lo, hi = axis.hi;
  if (!(hi > lo)) {
    const auto [low, high] = std::ranges::minmax(values);
    lo = axis.log ? std::log10(low) : low;
    hi = axis.log ? std::log10(high) : high;
    const double extent = hi > lo ? hi - lo : std::max(std::abs(hi), 1e-3);
    lo -= kRoom * extent;
    hi += kRoom * extent;
    // A whole power of ten at each end: a tick is then always in sight.
    if (axis.log) lo = std::floor(lo), hi = std::ceil(hi);
  }
  return {std::move(axis), {lo, hi, from, to}};
}

Scatter::Scatter(ScatterAxis x, ScatterAxis y,
                 const std::vector<ScatterPoint>& points, double below,
                 std::string_view about)
    : points_(points),
      x_(mapped(std::move(x), of(points, &ScatterPoint::x), kLeft,
                kWidth - kRight)),
      y_(mapped(std::move(y), of(points, &ScatterPoint::y), kBottom, kTop)),
      svg_(kWidth, kHeight + below, "scatter", about) {
  draw_axes();
}

double Scatter::height() const { return kHeight; }
double Scatter::left() const { return kLeft; }

void Scatter::draw_axes() {
  svg_.rect(kLeft, kTop, kWidth - kRight - kLeft, kBottom - kTop, "plot");
  for (const double tick : y_.ticks()) {
    svg_.line(kLeft, y_(tick), kWidth - kRight, y_(tick), "grid");
    svg_.text(kLeft - 8, y_(tick) + 4, y_.axis.format(tick), "tick end");
  }
  for (const double tick : x_.ticks()) {
    svg_.line(x_(tick), kTop, x_(tick), kBottom + 4, "grid");
    svg_.text(x_(tick), kBottom + 18, x_.axis.format(tick), "tick mid");
  }
  svg_.text((kLeft + kWidth - kRight) / 2, kBottom + 40, x_.axis.title,
            "axis mid");
  svg_.text(0, 0, y_.axis.title, "axis mid",
            fmt::format("transform=\"translate(14 {:.6g}) rotate(-90)\"",
                        (kTop + kBottom) / 2));
}

void Scatter::draw_points() {
  for (const ScatterPoint& p : points_) {
    svg_.open(p.hover);
    svg_.circle(x_(p.x), y_(p.y), p.radius,
                fmt::format("point {}", p.css_class));
    svg_.close();
  }
  for (const ScatterPoint& p : points_)  // in front of all circles
    if (!p.label.empty())
      svg_.text(x_(p.x) + p.radius + 4, y_(p.y) - p.radius, p.label,
                "point-label");
}

void Scatter::draw_stair(const std::vector<size_t>& order) {
  std::string data;
  for (const size_t i : order) {
    const ScatterPoint& p = points_[i];
    data += data.empty() ? fmt::format("M{:.6g} {:.6g}", x_(p.x), y_(p.y))
                         : fmt::format("H{:.6g}V{:.6g}", x_(p.x), y_(p.y));
  }
  if (!data.empty()) svg_.path(data, "line s-train");
}

void Scatter::draw_line(double x1, double y1, double x2, double y2,
                        std::string_view words) {
  double ax = x_(x1), ay = y_(y1), bx = x_(x2), by = y_(y2);
  const auto cut = [](double& x, double& y, double other_x, double other_y) {
    const double low = kTop, high = kBottom;
    const double edge = std::clamp(y, low, high);
    if (edge == y || other_y == y) return;
    x += (other_x - x) * (edge - y) / (other_y - y);
    y = edge;
  };
  cut(ax, ay, bx, by);
  cut(bx, by, ax, ay);
  svg_.line(ax, ay, bx, by, "phase");
  svg_.text(ax + 4, ay + (ay > by ? 16 : -8), words, "tick");
}

}  // namespace ft::cli
