// What a service counts about itself: requests and their times by route,
// answers by adapter. Thread-safe, and flat in memory: routes are fixed, and
// adapters beyond a number are counted together.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "service/prometheus.h"

namespace ft::service {

class RouteMetrics {
 public:
  // Upper ends of the buckets, in seconds; one more has the rest.
  static constexpr std::array kBuckets = {0.0001, 0.00025, 0.0005, 0.001,
                                          0.0025, 0.005,   0.01,   0.025,
                                          0.05,   0.1,     0.25,   1.0};
  explicit RouteMetrics(std::span<const std::string_view> routes);

  void record(size_t route, int status, double seconds);
  uint64_t requests() const;
  uint64_t errors() const;  // of status 500 and above
  void write(PrometheusText& out) const;

 private:
  struct Route {
    std::string_view name;
    std::array<std::atomic<uint64_t>, kBuckets.size() + 1> buckets = {};
    std::atomic<uint64_t> nanoseconds{0};
    mutable std::mutex mutex;
    std::map<int, uint64_t> by_status;
  };
  std::vector<std::unique_ptr<Route>> routes_;
};

// Answers, and what feedback said of them.
class AnswerCounts {
 public:
  struct Count {
    uint64_t answers = 0, right = 0, wrong = 0;
  };
  using Key = std::pair<std::string, int64_t>;  // adapter and version

  void answered(const std::string& adapter, int64_t version);
  void judged(const std::string& adapter, int64_t version, bool right);
  std::map<Key, Count> counts() const;
  void write(PrometheusText& out) const;

 private:
  Count& of(const std::string& adapter, int64_t version);
  static constexpr size_t kMost = 256;
  mutable std::mutex mutex_;
  std::map<Key, Count> counts_;
};

// Of this process, now.
size_t resident_bytes();

}  // namespace ft::service
