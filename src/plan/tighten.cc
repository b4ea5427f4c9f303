#include "plan/tighten.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "plan/exact_placement.h"

namespace ft {
namespace {

// More buffers are beyond a search of this kind.
constexpr size_t kMostBuffers = 1500;

class Tighten {
 public:
  Tighten(std::span<const Lifetime> lifetimes, size_t alignment, int64_t work,
          Placement& plan, std::span<const Rolling> rolling)
      : lifetimes_(lifetimes),
        rolling_(rolling),
        alignment_(alignment),
        work_(work),
        plan_(plan) {
    std::vector<size_t> buffer_of(lifetimes.size(), SIZE_MAX);
    for (size_t i = 0; i < lifetimes.size(); ++i) {
      const Lifetime& l = lifetimes[i];
      if (l.bytes == 0) continue;
      buffer_of[i] = index_.size();
      index_.push_back(i);
      buffers_.push_back({.size = units(l.bytes),
                          .step = units(alignment_of(l, alignment)),
                          .first_use = l.first_use,
                          .last_use = l.last_use});
    }
    for (const Rolling& r : rolling) add(r, buffer_of);
  }

  void run() {
    best_ = units(plan_.arena_bytes);
    proven_ = bound();
    if (buffers_.size() <= kMostBuffers) search();
    plan_.proven_bytes = static_cast<size_t>(proven_) * alignment_;
  }

 private:
  // Outputs that may begin behind their input are searched as if they could
  // not: what is found is right, what is not proves nothing.
  void add(const Rolling& r, const std::vector<size_t>& buffer_of) {
    const size_t below = buffer_of[r.output], above = buffer_of[r.input];
    if (below == SIZE_MAX || above == SIZE_MAX) return;
    const int64_t rise =
        units(static_cast<size_t>(std::max<ptrdiff_t>(r.distance, 0)));
    if (r.distance < 0) search_proves_ = false;
    if (rise < buffers_[below].size) overlaps_.push_back({below, above, rise});
  }

  int64_t units(size_t bytes) const {
    return static_cast<int64_t>((bytes + alignment_ - 1) / alignment_);
  }

  int64_t bound() const {
    return units(aligned_bound_bytes(lifetimes_, alignment_, rolling_));
  }

  // The bound itself first, which most problems meet; then half way between
  // what is proven and what is found.
  void search() {
    int64_t next = proven_, sure = proven_;
    while (next < best_ && work_ > 0) {
      int64_t share = work_ / (next == proven_ ? 2 : 4);
      work_ -= share;
      const Fit fit = attempt(next, share);
      work_ += std::max<int64_t>(share, 0);
      if (fit != Fit::kFound) sure = next + 1;
      if (fit == Fit::kImpossible && search_proves_)
        proven_ = std::max(proven_, next + 1);
      if (sure >= best_) break;
      next = sure + (best_ - sure) / 2;
      if (work_ < kLeastWork) break;
    }
  }

  Fit attempt(int64_t limit, int64_t& work) {
    std::vector<int64_t> offsets;
    const Fit fit = fit_within(buffers_, overlaps_, limit, work, offsets);
    if (fit != Fit::kFound) return fit;
    plan_.arena_bytes = 0;
    for (size_t k = 0; k < index_.size(); ++k) {
      const size_t offset = static_cast<size_t>(offsets[k]) * alignment_;
      plan_.offsets[index_[k]] = offset;
      plan_.arena_bytes =
          std::max(plan_.arena_bytes, offset + lifetimes_[index_[k]].bytes);
    }
    best_ = units(plan_.arena_bytes);
    return fit;
  }

  static constexpr int64_t kLeastWork = 10000;
  std::span<const Lifetime> lifetimes_;
  std::span<const Rolling> rolling_;
  const size_t alignment_;
  int64_t work_;
  Placement& plan_;
  std::vector<size_t> index_;  // of lifetimes, by buffer
  std::vector<StackBuffer> buffers_;
  std::vector<StackOverlap> overlaps_;
  bool search_proves_ = true;
  int64_t best_ = 0, proven_ = 0;  // units
};

}  // namespace

size_t aligned_bound_bytes(std::span<const Lifetime> lifetimes,
                           size_t alignment, std::span<const Rolling> rolling) {
  const auto rounded = [&](size_t bytes) {
    return (bytes + alignment - 1) / alignment * alignment;
  };
  std::map<int, ptrdiff_t> change;                   // of whole units alive
  std::multimap<int, std::pair<size_t, bool>> ends;  // what lacks, from when
  for (const Lifetime& l : lifetimes) {
    const auto bytes = static_cast<ptrdiff_t>(rounded(l.bytes));
    change[l.first_use] += bytes;
    change[l.last_use + 1] -= bytes;
    const size_t lacks = rounded(l.bytes) - l.bytes;
    ends.insert({l.first_use, {lacks, true}});
    ends.insert({l.last_use + 1, {lacks, false}});
  }
  for (const Rolling& r : rolling) {
    const auto shared = static_cast<ptrdiff_t>(
        shared_bytes(rounded(lifetimes[r.output].bytes),
                     rounded(lifetimes[r.input].bytes), r.distance));
    change[lifetimes[r.output].first_use] -= shared;
    change[lifetimes[r.input].last_use + 1] += shared;
  }
  std::multiset<size_t> lacking;  // of what is alive
  size_t bound = 0;
  ptrdiff_t alive = 0;
  auto next = ends.begin();
  for (const auto& [step, delta] : change) {
    alive += delta;
    for (; next != ends.end() && next->first == step; ++next) {
      const auto [lacks, begins] = next->second;
      if (begins)
        lacking.insert(lacks);
      else
        lacking.erase(lacking.find(lacks));
    }
    const size_t most = lacking.empty() ? 0 : *lacking.rbegin();
    bound = std::max(bound, static_cast<size_t>(alive) - most);
  }
  return bound;
}

void tighten(std::span<const Lifetime> lifetimes, size_t alignment,
             int64_t work, Placement& plan, std::span<const Rolling> rolling) {
  Tighten(lifetimes, alignment, work, plan, rolling).run();
}

}  // namespace ft
