// Text of the Prometheus exposition format 0.0.4.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace ft::service {

inline constexpr const char* kMetricsType =
    "text/plain; version=0.0.4; charset=utf-8";

class PrometheusText {
 public:
  using Labels =
      std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // Samples that follow are of this one. `type`: counter, gauge, histogram.
  void family(std::string_view name, std::string_view type,
              std::string_view help);
  void sample(Labels labels, double value) { sample("", labels, value); }
  // `ending` as histograms have them: "_bucket", "_sum", "_count".
  void sample(std::string_view ending, Labels labels, double value);
  // A family of one sample.
  void single(std::string_view name, std::string_view type,
              std::string_view help, double value);

  const std::string& text() const { return text_; }

 private:
  std::string text_, name_;
};

// A double as the format writes it: shortest that reads back the same.
std::string prometheus_number(double value);

}  // namespace ft::service
