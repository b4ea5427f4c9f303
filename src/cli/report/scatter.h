// Points in a plane with labelled axes, linear or logarithmic.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/report/svg.h"

namespace ft::cli {

struct ScatterAxis {
  std::string title;
  bool log = false;    // ticks at powers of ten; values must be positive
  bool bytes = false;  // ticks at powers of two
  std::function<std::string(double)> format;
  double lo = 0, hi = 0;  // equal: those of the points, with room around
};

struct ScatterPoint {
  double x = 0, y = 0;
  double radius = 4;
  std::string css_class;  // of its fill
  std::string label;      // beside it; may be empty
  std::string hover;
};

// Draws axes at once; then lines and points are added.
class Scatter {
 public:
  // `below`: room under the picture, from height() on.
  Scatter(ScatterAxis x, ScatterAxis y, const std::vector<ScatterPoint>& points,
          double below, std::string_view about);

  void draw_points();
  // From point to point, as a stair: right, then up.
  void draw_stair(const std::vector<size_t>& order);
  // A straight line between two values, cut at the plot's edge.
  void draw_line(double x1, double y1, double x2, double y2,
                 std::string_view words);

  double height() const;
  double left() const;
  Svg& svg() { return svg_; }
  std::string finish() && { return std::move(svg_).finish(); }

 private:
  struct Mapped {
    ScatterAxis axis;
    Scale scale;
    double operator()(double value) const;
    std::vector<double> ticks() const;
  };
  static Mapped mapped(ScatterAxis axis, std::vector<double> values,
                       double from, double to);
  void draw_axes();

  const std::vector<ScatterPoint>& points_;
  Mapped x_, y_;
  Svg svg_;
};

}  // namespace ft::cli
