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
  StripeSearch(const Graph& graph, const StripeChoice& choice,
               const BuildProgram& build)
      : graph_(graph), choice_(choice), build_(build) {}

  Result<Program> run() {
    FT_TRY(Program whole, build_(graph_.clone(), false));
    if (fits(whole.ram_bytes())) return whole;
    most_macs_ = kMostMacs * static_cast<double>(whole.macs);
    for (const StripeRegion& region : regions(whole))
      for (const int64_t n : counts(region)) FT_TRY_STATUS(attempt(region, n));
    FT_TRY(std::optional<Program> fitting, least_work_that_fits());
    if (fitting) return std::move(*fitting);
    const Attempt* least = least_ram();
    if (least == nullptr) return whole;
    FT_TRY(Program parts, build_in(*least));
    const bool is_less = parts.ram_bytes() < whole.ram_bytes();
    return is_less || is_asked_for() ? std::move(parts) : std::move(whole);
  }

 private:
  struct Attempt {
    StripeRegion region;
    int64_t stripes;
    // By the bound, since a hasty placement has gaps.
    size_t arena_and_scratch, ram_bytes;
    int64_t macs;
  };

  bool is_asked_for() const {
    return choice_.stripes != PlanOptions::kLeastRam;
  }
  bool fits(size_t bytes) const {
    return !is_asked_for() && bytes <= choice_.enough_bytes;
  }

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
    if (is_asked_for()) all = {choice_.stripes};
    std::erase_if(all, [&](int64_t n) { return n > most; });
    return all;
  }

  // Where padding is as high as a stripe there is none.
  Status attempt(const StripeRegion& region, int64_t n) {
    Graph graph = graph_.clone();
    if (!compute_in_stripes(graph, region, n).ok()) return ok_status();
    FT_TRY(const Program program, build_(std::move(graph), true));
    if (!is_asked_for() && static_cast<double>(program.macs) > most_macs_)
      return ok_status();
    const size_t bytes = program.lower_bound_bytes + program.scratch_bytes;
    attempts_.push_back(
        {region, n, bytes, bytes + program.persistent_bytes, program.macs});
    return ok_status();
  }

  // A hundredth less is worth no more stripes.
  const Attempt* least_ram() const {
    const Attempt* least = nullptr;
    for (const Attempt& a : attempts_)
      if (least == nullptr ||
          a.arena_and_scratch <
              least->arena_and_scratch - least->arena_and_scratch / 100)
        least = &a;
    return least;
  }

  Result<std::optional<Program>> least_work_that_fits() {
    std::vector<Attempt> enough = attempts_;
    std::erase_if(enough, [&](const Attempt& a) { return !fits(a.ram_bytes); });
    std::ranges::stable_sort(enough, {}, [](const Attempt& a) {
      return std::pair(a.macs, a.stripes);
    });
    for (const Attempt& a : enough) {
      FT_TRY(Program program, build_in(a));
      if (fits(program.ram_bytes())) return std::optional(std::move(program));
    }
    return std::optional<Program>();
  }

  Result<Program> build_in(const Attempt& a) {
    Graph graph = graph_.clone();
    FT_TRY_STATUS(compute_in_stripes(graph, a.region, a.stripes));
    return build_(std::move(graph), false);
  }

  const Graph& graph_;
  const StripeChoice choice_;
  const BuildProgram& build_;
  double most_macs_ = 0;
  std::vector<Attempt> attempts_;
};

}  // namespace

Result<Program> build_in_stripes(const Graph& graph, const StripeChoice& choice,
                                 const BuildProgram& build) {
  return StripeSearch(graph, choice, build).run();
}

}  // namespace ft
