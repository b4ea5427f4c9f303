#include "cli/report/svg.h"

#include <fmt/format.h>

#include <cmath>

namespace ft::cli {

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default:
        // XML knows no other control characters.
        out += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? ' ' : c;
    }
  return out;
}

double Scale::operator()(double value) const {
  if (hi == lo) return from;
  return from + (value - lo) / (hi - lo) * (to - from);
}

namespace {

std::vector<double> ticks_of(double lo, double hi, double step) {
  std::vector<double> ticks;
  // 1e-9: a bound that is a multiple of the step but for rounding counts.
  for (double k = std::ceil(lo / step - 1e-9); k * step <= hi + step * 1e-9;
       ++k)
    ticks.push_back(k * step + 0.0);  // turns -0 into 0
  return ticks;
}

}  // namespace

std::vector<double> nice_ticks(double lo, double hi, int count) {
  if (!(hi > lo)) return {lo};
  const double rough = (hi - lo) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double mantissa = rough / power;
  const double round = mantissa > 5   ? 10
                       : mantissa > 2 ? 5
                       : mantissa > 1 ? 2
                                      : 1;
  return ticks_of(lo, hi, round * power);
}

std::vector<double> binary_ticks(double hi, int count) {
  double step = 16;
  while (hi / step > count) step *= 2;
  return ticks_of(0, hi, step);
}

std::string format_bytes(double bytes) {
  if (bytes < 1024) return fmt::format("{:.0f} B", bytes);
  const bool mega = bytes >= 1024.0 * 1024.0;
  const double value = bytes / (mega ? 1024.0 * 1024.0 : 1024.0);
  const char* unit = mega ? "MiB" : "KiB";
  if (value == std::floor(value)) return fmt::format("{:.0f} {}", value, unit);
  return fmt::format("{:.1f} {}", value, unit);
}

std::string exact_bytes(size_t bytes) {
  std::string digits = std::to_string(bytes);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits + " B";
}

std::string shorten(std::string_view text, size_t limit) {
  size_t characters = 0, cut = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) == 0x80) continue;
    if (characters + 1 == limit) cut = i;
    ++characters;
  }
  if (characters <= limit) return std::string(text);
  return std::string(text.substr(0, cut)) + "…";
}

Svg::Svg(double width, double height, std::string_view css_class,
         std::string_view about)
    : out_(fmt::format(
          "<svg viewBox=\"0 0 {:.6g} {:.6g}\" class=\"{}\" "
          "style=\"max-width: {:.0f}px\" role=\"img\" aria-label=\"{}\">\n",
          width, height, css_class, 1.15 * width, escape(about))) {}

void Svg::rect(double x, double y, double width, double height,
               std::string_view css_class, std::string_view attributes) {
  out_ += fmt::format(
      "<rect x=\"{:.6g}\" y=\"{:.6g}\" width=\"{:.6g}\" height=\"{:.6g}\" "
      "class=\"{}\" {}/>\n",
      x, y, width, height, css_class, attributes);
}

void Svg::line(double x1, double y1, double x2, double y2,
               std::string_view css_class) {
  out_ += fmt::format(
      "<line x1=\"{:.6g}\" y1=\"{:.6g}\" x2=\"{:.6g}\" y2=\"{:.6g}\" "
      "class=\"{}\"/>\n",
      x1, y1, x2, y2, css_class);
}

void Svg::circle(double x, double y, double radius,
                 std::string_view css_class) {
  out_ += fmt::format(
      "<circle cx=\"{:.6g}\" cy=\"{:.6g}\" r=\"{:.6g}\" class=\"{}\"/>\n", x, y,
      radius, css_class);
}

void Svg::text(double x, double y, std::string_view words,
               std::string_view css_class, std::string_view attributes) {
  out_ +=
      fmt::format("<text x=\"{:.6g}\" y=\"{:.6g}\" class=\"{}\" {}>{}</text>\n",
                  x, y, css_class, attributes, escape(words));
}

void Svg::path(std::string_view data, std::string_view css_class) {
  out_ += fmt::format("<path d=\"{}\" class=\"{}\"/>\n", data, css_class);
}

void Svg::open(std::string_view hover) {
  out_ += fmt::format("<g><title>{}</title>\n", escape(hover));
}

void Svg::close() { out_ += "</g>\n"; }

std::string Svg::finish() && { return std::move(out_) + "</svg>\n"; }

std::string standalone(std::string_view svg, std::string_view style_sheet) {
  constexpr std::string_view kTag = "<svg ";
  const size_t head = svg.find('>') + 1;
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" {}\n<style><![CDATA[{}\n"
      "svg {{ background: var(--page); font-family: sans-serif; }}\n]]></style>"
      "{}",
      svg.substr(kTag.size(), head - kTag.size()), style_sheet,
      svg.substr(head));
}

}  // namespace ft::cli
