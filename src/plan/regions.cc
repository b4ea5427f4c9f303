#include "plan/regions.h"

#include <algorithm>
#include <numeric>

namespace ft {
namespace {

constexpr int64_t kWorkOfPlacement = 50;  // in nodes
constexpr int kRounds = 200;              // of a placement

class RegionSearch {
 public:
  RegionSearch(std::span<const Lifetime> lifetimes,
               std::span<const double> moved, std::span<const Region> regions,
               size_t alignment, int64_t work)
      : lifetimes_(lifetimes),
        moved_(moved),
        regions_(regions),
        alignment_(alignment),
        work_(work),
        where_(lifetimes.size(), kOpen) {
    for (const Lifetime& l : lifetimes) steps_.push_back(l.first_use);
    std::ranges::sort(steps_);
    steps_.erase(std::unique(steps_.begin(), steps_.end()), steps_.end());
    alive_.assign(regions.size(), std::vector<size_t>(steps_.size(), 0));
    order_.resize(lifetimes.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::ranges::stable_sort(
        order_, [&](size_t a, size_t b) { return weight(a) > weight(b); });
  }

  std::optional<RegionPlan> run() {
    const double bound = lower_bound();
    exhausted_ = true;
    descend(0, 0);
    if (!best_) return std::nullopt;
    best_->is_optimal = exhausted_;
    best_->bound = exhausted_ ? best_->cost : bound;
    return std::move(best_);
  }

 private:
  static constexpr size_t kOpen = SIZE_MAX;

  // What a byte of the buffer gains in the fastest region.
  double weight(size_t i) const {
    return moved_[i] /
           static_cast<double>(std::max<size_t>(lifetimes_[i].bytes, 1));
  }

  double cost_in(size_t i, size_t r) const {
    return moved_[i] * regions_[r].cost_per_byte;
  }

  // Cost of what is decided, of the rest in the fastest region, and of the
  // cheapest way to take from it what does not fit at the worst step.
  double lower_bound() const {
    double sum = 0, worst = 0;
    for (size_t i = 0; i < where_.size(); ++i)
      sum += cost_in(i, where_[i] == kOpen ? 0 : where_[i]);
    if (regions_.size() < 2) return sum;
    const double saved = regions_[1].cost_per_byte - regions_[0].cost_per_byte;
    for (size_t s = 0; s < steps_.size(); ++s)
      worst = std::max(worst, least_moved_out(s) * saved);
    return sum + worst;
  }

  // Moved bytes of what has to leave the fastest region at a step, in parts of
  // buffers if need be.
  double least_moved_out(size_t s) const {
    double excess = static_cast<double>(alive_[0][s]) -
                    static_cast<double>(regions_[0].bytes);
    for (const size_t i : order_)
      if (where_[i] == kOpen && is_alive(i, s))
        excess += static_cast<double>(lifetimes_[i].bytes);
    double out = 0;
    for (auto i = order_.rbegin(); i != order_.rend() && excess > 0; ++i) {
      if (where_[*i] != kOpen || !is_alive(*i, s)) continue;
      const double bytes = static_cast<double>(lifetimes_[*i].bytes);
      out += weight(*i) * std::min(bytes, excess);
      excess -= bytes;
    }
    return out;
  }

  bool is_alive(size_t i, size_t s) const {
    return lifetimes_[i].first_use <= steps_[s] &&
           steps_[s] <= lifetimes_[i].last_use;
  }

  void descend(size_t turn, double cost) {
    if (--work_ < 0) {
      exhausted_ = false;
      return;
    }
    if (turn == order_.size()) {
      try_leaf(cost);
      return;
    }
    if (best_ && lower_bound() >= best_->cost * (1 - 1e-12)) return;
    const size_t i = order_[turn];
    for (size_t r = 0; r < regions_.size() && work_ >= 0; ++r) {
      if (!fits(i, r)) continue;
      where_[i] = r;
      change(i, r, lifetimes_[i].bytes);
      descend(turn + 1, cost + cost_in(i, r));
      change(i, r, 0 - lifetimes_[i].bytes);
      where_[i] = kOpen;
    }
    if (work_ < 0) exhausted_ = false;
  }

  bool fits(size_t i, size_t r) const {
    for (size_t s = 0; s < steps_.size(); ++s)
      if (is_alive(i, s) &&
          alive_[r][s] + lifetimes_[i].bytes > regions_[r].bytes)
        return false;
    return true;
  }

  void change(size_t i, size_t r, size_t bytes) {
    for (size_t s = 0; s < steps_.size(); ++s)
      if (is_alive(i, s)) alive_[r][s] += bytes;
  }

  // A leaf whose buffers leave gaps may not fit; the first one that does not
  // hands buffers on to slower regions, so that there is a plan to improve on.
  void try_leaf(double cost) {
    if (best_ && cost >= best_->cost) return;
    RegionPlan plan{.region = where_,
                    .offsets = std::vector<size_t>(where_.size(), 0),
                    .used_bytes = std::vector<size_t>(regions_.size(), 0)};
    for (size_t r = 0; r < regions_.size(); ++r)
      while (!place(r, plan))
        if (best_ || !hand_on(r, plan)) return;
    for (size_t i = 0; i < where_.size(); ++i)
      plan.cost += cost_in(i, plan.region[i]);
    best_ = std::move(plan);
  }

  bool place(size_t r, RegionPlan& plan) {
    std::vector<Lifetime> here;
    std::vector<size_t> index;
    for (size_t i = 0; i < where_.size(); ++i)
      if (plan.region[i] == r) {
        here.push_back(lifetimes_[i]);
        index.push_back(i);
      }
    work_ -= kWorkOfPlacement;
    const Placement placed = place_buffers(here, alignment_, kRounds);
    for (size_t k = 0; k < index.size(); ++k)
      plan.offsets[index[k]] = placed.offsets[k];
    plan.used_bytes[r] = placed.arena_bytes;
    const bool fits = placed.arena_bytes <= regions_[r].bytes;
    if (!fits && !placed.is_optimal()) exhausted_ = false;
    return fits;
  }

  // The least moved buffer that reaches beyond the region goes to the next.
  bool hand_on(size_t r, RegionPlan& plan) const {
    if (r + 1 == regions_.size()) return false;
    for (auto i = order_.rbegin(); i != order_.rend(); ++i)
      if (plan.region[*i] == r &&
          plan.offsets[*i] + lifetimes_[*i].bytes > regions_[r].bytes) {
        plan.region[*i] = r + 1;
        return true;
      }
    return false;
  }

  std::span<const Lifetime> lifetimes_;
  std::span<const double> moved_;
  std::span<const Region> regions_;
  const size_t alignment_;
  int64_t work_;
  std::vector<int> steps_;                  // at which a buffer comes to life
  std::vector<std::vector<size_t>> alive_;  // bytes by region and step
  std::vector<size_t> order_;               // buffers, most moved first
  std::vector<size_t> where_;               // by buffer
  std::optional<RegionPlan> best_;
  bool exhausted_ = true;
};

}  // namespace

std::optional<RegionPlan> place_in_regions(std::span<const Lifetime> lifetimes,
                                           std::span<const double> moved_bytes,
                                           std::span<const Region> regions,
                                           size_t alignment, int64_t work) {
  return RegionSearch(lifetimes, moved_bytes, regions, alignment, work).run();
}

}  // namespace ft
