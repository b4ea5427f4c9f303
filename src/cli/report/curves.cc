// Training curves. Colour is never the only difference: validation is dashed
// and each line carries its name at its end.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "cli/report/pictures.h"
#include "cli/report/svg.h"

namespace ft::cli {
namespace {

constexpr double kWidth = 560, kHeight = 330;
constexpr double kLeft = 62, kRight = 86, kTop = 16, kBottom = kHeight - 48;

struct Line {
  const char* name;
  const char* css_class;
  double CurvePoint::*value;
};

struct Axis {
  const char* title;
  double hi;
  std::function<std::string(double)> format;
};

class CurveDrawing {
 public:
  CurveDrawing(std::span<const CurvePoint> curve, const Axis& axis)
      : curve_(curve),
        x_{static_cast<double>(curve.front().epoch),
           static_cast<double>(curve.back().epoch), kLeft, kWidth - kRight},
        y_{0, axis.hi, kBottom, kTop},
        axis_(axis),
        svg_(kWidth, kHeight, "curve",
             fmt::format("{} over {} epochs", axis.title, curve.size())) {
    draw_axes();
  }

  void draw_line(const Line& line) {
    std::string data;
    for (const CurvePoint& p : curve_) {
      const double value = p.*line.value;
      if (std::isfinite(value))
        data += fmt::format("{}{:.6g} {:.6g}", data.empty() ? "M" : "L",
                            x_(p.epoch), y_(value));
    }
    if (data.empty()) return;
    svg_.path(data, fmt::format("line {}", line.css_class));
    for (const CurvePoint& p : curve_) draw_point(p, line);
  }

  // Ends of lines that come close to each other are pushed apart.
  void label_ends(std::span<const Line> lines) {
    double previous = -100;
    std::vector<std::pair<double, const Line*>> ends;
    for (const Line& line : lines)
      if (const double last = last_value(line); std::isfinite(last))
        ends.emplace_back(y_(last), &line);
    std::ranges::sort(ends);
    for (const auto& [y, line] : ends) {
      previous = std::max(y, previous + 15);
      svg_.text(kWidth - kRight + 9, previous + 4, line->name,
                fmt::format("line-label {}", line->css_class));
    }
  }

  void ring(const CurvePoint& p, double value, std::string_view hover) {
    svg_.open(hover);
    svg_.circle(x_(p.epoch), y_(value), 6.5, "ring");
    svg_.close();
  }

  std::string finish() && { return std::move(svg_).finish(); }

 private:
  void draw_axes() {
    svg_.rect(kLeft, kTop, kWidth - kRight - kLeft, kBottom - kTop, "plot");
    for (const double tick : nice_ticks(0, y_.hi, 6)) {
      svg_.line(kLeft, y_(tick), kWidth - kRight, y_(tick), "grid");
      svg_.text(kLeft - 8, y_(tick) + 4, axis_.format(tick), "tick end");
    }
    for (const double tick : nice_ticks(x_.lo, x_.hi, 8)) {
      if (tick != std::floor(tick)) continue;
      svg_.line(x_(tick), kBottom, x_(tick), kBottom + 4, "mark");
      svg_.text(x_(tick), kBottom + 18, fmt::format("{:.0f}", tick),
                "tick mid");
    }
    svg_.text((kLeft + kWidth - kRight) / 2, kBottom + 38, "epoch", "axis mid");
    svg_.text(0, 0, axis_.title, "axis mid",
              fmt::format("transform=\"translate(12 {:.6g}) rotate(-90)\"",
                          (kTop + kBottom) / 2));
  }

  void draw_point(const CurvePoint& p, const Line& line) {
    const double value = p.*line.value;
    if (!std::isfinite(value)) return;
    svg_.open(fmt::format("epoch {}: {} {:.4g}", p.epoch, axis_.title, value));
    svg_.circle(x_(p.epoch), y_(value), curve_.size() > 40 ? 1.5 : 2.5,
                fmt::format("dot {}", line.css_class));
    svg_.close();
  }

  double last_value(const Line& line) const {
    double last = kNoValue;
    for (const CurvePoint& p : curve_)
      if (std::isfinite(p.*line.value)) last = p.*line.value;
    return last;
  }

  std::span<const CurvePoint> curve_;
  Scale x_, y_;
  Axis axis_;
  Svg svg_;
};

constexpr Line kLossLines[] = {
    {"training", "s-train", &CurvePoint::train_loss},
    {"validation", "s-validation", &CurvePoint::validation_loss},
};
constexpr Line kAccuracyLine = {"validation", "s-validation",
                                &CurvePoint::validation_accuracy};

bool has_any(std::span<const CurvePoint> curve, double CurvePoint::*value) {
  return std::ranges::any_of(
      curve, [&](const CurvePoint& p) { return std::isfinite(p.*value); });
}

double largest_loss(std::span<const CurvePoint> curve) {
  double hi = 0;
  for (const CurvePoint& p : curve)
    for (const Line& line : kLossLines)
      if (std::isfinite(p.*line.value)) hi = std::max(hi, p.*line.value);
  return hi > 0 ? hi * 1.04 : 1;
}

}  // namespace

std::string draw_loss_curve(std::span<const CurvePoint> curve) {
  if (curve.empty()) return "";
  CurveDrawing drawing(
      curve, {.title = "mean loss of a sample",
              .hi = largest_loss(curve),
              .format = [](double v) { return fmt::format("{:.3g}", v); }});
  for (const Line& line : kLossLines) drawing.draw_line(line);
  drawing.label_ends(kLossLines);
  // The adapter that is kept is the one of the lowest loss (train/trainer.h).
  const auto decides = has_any(curve, &CurvePoint::validation_loss)
                           ? &CurvePoint::validation_loss
                           : &CurvePoint::train_loss;
  const CurvePoint* best = nullptr;
  for (const CurvePoint& p : curve)
    if (std::isfinite(p.*decides) &&
        (best == nullptr || p.*decides < best->*decides))
      best = &p;
  if (best != nullptr)
    drawing.ring(
        *best, best->*decides,
        fmt::format("epoch {}: the adapter that is kept", best->epoch));
  return std::move(drawing).finish();
}

std::string draw_accuracy_curve(std::span<const CurvePoint> curve) {
  if (!has_any(curve, kAccuracyLine.value)) return "";
  CurveDrawing drawing(curve,
                       {.title = "accuracy", .hi = 1, .format = [](double v) {
                          return fmt::format("{:.0f} %", 100 * v);
                        }});
  drawing.draw_line(kAccuracyLine);
  drawing.label_ends(std::span(&kAccuracyLine, 1));
  return std::move(drawing).finish();
}

}  // namespace ft::cli
