#include "service/prometheus.h"

#include <fmt/format.h>

#include <cmath>

namespace ft::service {
namespace {

std::string escaped(std::string_view text, bool is_label) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && is_label) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string prometheus_number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

void PrometheusText::family(std::string_view name, std::string_view type,
                            std::string_view help) {
  name_ = name;
  text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name,
                       escaped(help, false), name, type);
}

void PrometheusText::sample(std::string_view ending, Labels labels,
                            double value) {
  text_ += name_;
  text_ += ending;
  char separator = '{';
  for (const auto& [name, label] : labels) {
    text_ += fmt::format("{}{}=\"{}\"", separator, name, escaped(label, true));
    separator = ',';
  }
  if (separator == ',') text_ += '}';
  text_ += fmt::format(" {}\n", prometheus_number(value));
}

void PrometheusText::single(std::string_view name, std::string_view type,
                            std::string_view help, double value) {
  family(name, type, help);
  sample({}, value);
}

}  // namespace ft::service
