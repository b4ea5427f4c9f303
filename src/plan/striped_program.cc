#include "plan/striped_program.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "passes/stripes.h"

namespace ft {
namespace {

// What halos may cost if nobody says how many stripes.
constexpr double kMostMacs = 1.3;

// How many regions are tried: the shortest ones, since longer ones compute more
// rows twice.
constexpr size_t kMostRegions = 6;

class StripeSearch {
 public:
  StripeSearch(const Graph& graph, int stripes, const BuildProgram& build)
      : graph_(graph), stripes_(stripes), build_(build) {}

  Result<Program> run() {
    FT_TRY(Program whole, build_(graph_.clone(), false));
    most_macs_ = kMostMacs * static_cast<double>(whole.macs);
    for (const StripeRegion& region : regions(whole))
      for (const int64_t n : counts(region)) FT_TRY_STATUS(attempt(region, n));
    if (!chosen_) return whole;
    FT_TRY(Program parts, build_(std::move(*chosen_), false));
    const bool is_less = parts.ram_bytes() < whole.ram_bytes();
    return is_less || is_asked_for() ? std::move(parts) : std::move(whole);
  }

 private:
  bool is_asked_for() const { return stripes_ != PlanOptions::kLeastRam; }

  // Fewer bytes at one call are no use if another one stays as full, so regions
  // end behind the fullest call; if there must be stripes, they may be others.
  std::vector<StripeRegion> regions(const Program& whole) const {
    const std::vector<StripeRegion> all = stripe_regions(graph_);
    const auto call = static_cast<size_t>(whole.fullest_call);
    const NodeId fullest =
        call < whole.calls.size() ? whole.calls[call].node : kNone;
    std::vector<StripeRegion> some;
    for (const StripeRegion& region : all)
      if (region.end > fullest && some.size() < kMostRegions)
        some.push_back(region);
    const auto allows = [&](const StripeRegion& region) {
      return !counts(region).empty();
    };
    return is_asked_for() && std::ranges::none_of(some, allows) ? all : some;
  }

  std::vector<int64_t> counts(const StripeRegion& region) const {
    const int64_t most = std::min(region.rows, kMostStripes);
    std::vector<int64_t> all = {2, 3, 4, 6, 8, 12, 16, 24, 32, 48};
    if (is_asked_for()) all = {stripes_};
    std::erase_if(all, [&](int64_t n) { return n > most; });
    return all;
  }

  // Where padding is as high as a stripe there is none.
  Status attempt(const StripeRegion& region, int64_t n) {
    Graph graph = graph_.clone();
    if (!compute_in_stripes(graph, region, n).ok()) return ok_status();
    FT_TRY(const Program program, build_(graph.clone(), true));
    if (!is_asked_for() && static_cast<double>(program.macs) > most_macs_)
      return ok_status();
    // By the bound, since a hasty placement has gaps; a hundredth less is worth
    // no more stripes.
    const size_t bytes = program.lower_bound_bytes + program.scratch_bytes;
    if (chosen_ && bytes >= least_bytes_ - least_bytes_ / 100)
      return ok_status();
    least_bytes_ = bytes;
    chosen_ = std::move(graph);
    return ok_status();
  }

  const Graph& graph_;
  const int stripes_;
  const BuildProgram& build_;
  double most_macs_ = 0;
  std::optional<Graph> chosen_;  // the best one in stripes so far
  size_t least_bytes_ = 0;       // that it needs
};

}  // namespace

Result<Program> build_in_stripes(const Graph& graph, int stripes,
                                 const BuildProgram& build) {
  return StripeSearch(graph, stripes, build).run();
}

}  // namespace ft
