#include "service/metrics.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace ft::service {

RouteMetrics::RouteMetrics(std::span<const std::string_view> routes) {
  for (const std::string_view name : routes) {
    routes_.push_back(std::make_unique<Route>());
    routes_.back()->name = name;
  }
}

void RouteMetrics::record(size_t route, int status, double seconds) {
  Route& r = *routes_[route];
  const size_t bucket = static_cast<size_t>(
      std::ranges::lower_bound(kBuckets, seconds) - kBuckets.begin());
  ++r.buckets[bucket];
  r.nanoseconds += static_cast<uint64_t>(seconds * 1e9);
  const std::lock_guard lock(r.mutex);
  ++r.by_status[status];
}

uint64_t RouteMetrics::requests() const {
  uint64_t all = 0;
  for (const auto& route : routes_)
    for (const auto& bucket : route->buckets) all += bucket;
  return all;
}

uint64_t RouteMetrics::errors() const {
  uint64_t all = 0;
  for (const auto& route : routes_) {
    const std::lock_guard lock(route->mutex);
    for (const auto& [status, count] : route->by_status)
      all += status >= 500 ? count : 0;
  }
  return all;
}

void RouteMetrics::write(PrometheusText& out) const {
  out.family("fieldtune_http_requests_total", "counter",
             "Requests answered, by route and HTTP status.");
  for (const auto& route : routes_) {
    const std::lock_guard lock(route->mutex);
    for (const auto& [status, count] : route->by_status)
      out.sample({{"route", route->name}, {"status", std::to_string(status)}},
                 static_cast<double>(count));
  }
  out.family("fieldtune_http_request_duration_seconds", "histogram",
             "Time from a whole request to its answer, by route.");
  for (const auto& route : routes_) {
    uint64_t below = 0;
    for (size_t i = 0; i < kBuckets.size(); ++i) {
      below += route->buckets[i];
      out.sample(
          "_bucket",
          {{"route", route->name}, {"le", prometheus_number(kBuckets[i])}},
          static_cast<double>(below));
    }
    below += route->buckets.back();
    const auto all = static_cast<double>(below);
    out.sample("_bucket", {{"route", route->name}, {"le", "+Inf"}}, all);
    out.sample("_sum", {{"route", route->name}},
               static_cast<double>(route->nanoseconds) * 1e-9);
    out.sample("_count", {{"route", route->name}}, all);
  }
}

// Under the lock. Beyond kMost all others are one.
AnswerCounts::Count& AnswerCounts::of(const std::string& adapter,
                                      int64_t version) {
  if (const auto at = counts_.find({adapter, version}); at != counts_.end())
    return at->second;
  if (counts_.size() >= kMost) return counts_[{"(others)", 0}];
  return counts_[{adapter, version}];
}

void AnswerCounts::answered(const std::string& adapter, int64_t version) {
  const std::lock_guard lock(mutex_);
  ++of(adapter, version).answers;
}

void AnswerCounts::judged(const std::string& adapter, int64_t version,
                          bool right) {
  const std::lock_guard lock(mutex_);
  Count& count = of(adapter, version);
  ++(right ? count.right : count.wrong);
}

std::map<AnswerCounts::Key, AnswerCounts::Count> AnswerCounts::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void AnswerCounts::write(PrometheusText& out) const {
  const auto all = counts();
  out.family("fieldtune_answers_total", "counter",
             "Predictions made, by adapter and version; adapter \"\" is the "
             "base alone.");
  for (const auto& [key, count] : all)
    out.sample(
        {{"adapter", key.first}, {"version", std::to_string(key.second)}},
        static_cast<double>(count.answers));
  out.family("fieldtune_feedback_total", "counter",
             "Predictions whose right answer was told, by adapter, version and "
             "whether they were right.");
  for (const auto& [key, count] : all)
    for (const bool right : {true, false})
      out.sample({{"adapter", key.first},
                  {"version", std::to_string(key.second)},
                  {"right", right ? "true" : "false"}},
                 static_cast<double>(right ? count.right : count.wrong));
}

size_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long all = 0, resident = 0;
  const int found = std::fscanf(file, "%lu %lu", &all, &resident);
  (void)std::fclose(file);
  return found == 2 ? resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE))
                    : 0;
}

}  // namespace ft::service
