// A small SVG writer: shapes with CSS classes, scales and tick marks.
//
// Colours and fonts live in the page's style sheet (style.h), so that a picture
// follows the light or dark theme. All text is escaped.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ft::cli {

// Text for HTML or XML, in element or quoted attribute.
std::string escape(std::string_view text);

// Maps [lo, hi] to pixels [from, to]; lo == hi maps to `from`.
struct Scale {
  double lo, hi;
  double from, to;
  double operator()(double value) const;
};

// About `count` round values (1, 2 or 5 times a power of ten) inside [lo, hi].
std::vector<double> nice_ticks(double lo, double hi, int count);
// The same with steps that are powers of two, for bytes.
std::vector<double> binary_ticks(double hi, int count);

// "812 B", "3.4 KiB", "1.2 MiB"; `exact_bytes`: "34,112 B".
std::string format_bytes(double bytes);
std::string exact_bytes(size_t bytes);

// The first `limit` characters, the last of them "…" if any were cut; never
// cuts through a UTF-8 sequence.
std::string shorten(std::string_view text, size_t limit);

class Svg {
 public:
  // Drawn at most 1.15 times as wide as `width` pixels; `about` is read to the
  // blind.
  Svg(double width, double height, std::string_view css_class,
      std::string_view about);

  void rect(double x, double y, double width, double height,
            std::string_view css_class, std::string_view attributes = "");
  void line(double x1, double y1, double x2, double y2,
            std::string_view css_class);
  void circle(double x, double y, double radius, std::string_view css_class);
  // `attributes` go into the tag as they are, e.g. a transform.
  void text(double x, double y, std::string_view words,
            std::string_view css_class, std::string_view attributes = "");
  void path(std::string_view data, std::string_view css_class);
  // What is drawn until close() shows `hover` under the pointer.
  void open(std::string_view hover);
  void close();
  std::string finish() &&;

 private:
  std::string out_;
};

// An <svg> element of a page as a file: with its namespace and style sheet.
std::string standalone(std::string_view svg, std::string_view style_sheet);

}  // namespace ft::cli
