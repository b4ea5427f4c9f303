#include "plan/placement.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>

#include "base/random.h"
#include "plan/tighten.h"

namespace ft {
namespace {

using Order = std::vector<size_t>;

// How many of the greedy orders the search goes on from.
constexpr size_t kSearchedStarts = 3;

// Branch and bound before the search over orders, a hundredth of a second on a
// desktop, and behind it, for each round of that search.
constexpr int64_t kQuickWork = 1'000'000, kWorkOfRound = 5'000;

// Buffers this large begin on a cache line: vectors of 64 bytes then never
// straddle two, and the gap is at most 0.4 % of the buffer.
constexpr size_t kLargeBytes = 16384, kLargeAlignment = 64;

bool meet(const Lifetime& a, const Lifetime& b) {
  return a.first_use <= b.last_use && b.first_use <= a.last_use;
}

ptrdiff_t size_of(const Lifetime& l) { return static_cast<ptrdiff_t>(l.bytes); }

// Bytes alive at each step, by the events at which they change.
std::map<int, size_t> bytes_by_step(std::span<const Lifetime> lifetimes,
                                    std::span<const Rolling> rolling) {
  std::map<int, ptrdiff_t> change;
  for (const Rolling& r : rolling) {
    const auto shared = static_cast<ptrdiff_t>(shared_bytes(
        lifetimes[r.output].bytes, lifetimes[r.input].bytes, r.distance));
    change[lifetimes[r.output].first_use] -= shared;
    change[lifetimes[r.input].last_use + 1] += shared;
  }
  for (const Lifetime& l : lifetimes) {
    change[l.first_use] += static_cast<ptrdiff_t>(l.bytes);
    change[l.last_use + 1] -= static_cast<ptrdiff_t>(l.bytes);
  }
  std::map<int, size_t> alive;
  ptrdiff_t sum = 0;
  for (const auto& [step, delta] : change)
    alive[step] = static_cast<size_t>(sum += delta);
  return alive;
}

// One placement problem: who meets whom is worked out once, then many orders
// are tried.
class Placer {
 public:
  Placer(std::span<const Lifetime> lifetimes, size_t alignment,
         std::span<const Rolling> rolling)
      : lifetimes_(lifetimes), alignment_(alignment) {
    neighbours_.resize(lifetimes.size());
    for (size_t i = 0; i < lifetimes.size(); ++i)
      for (size_t j = i + 1; j < lifetimes.size(); ++j)
        if (meet(lifetimes[i], lifetimes[j])) {
          neighbours_[i].push_back({j, 0, size_of(lifetimes[j])});
          neighbours_[j].push_back({i, 0, size_of(lifetimes[i])});
        }
    for (const Rolling& r : rolling) {
      const ptrdiff_t out = size_of(lifetimes[r.output]);
      neighbour_of(r.output, r.input).begin = out - r.distance;
      neighbour_of(r.input, r.output).end = r.distance;
    }
  }

  // Puts the buffers down in this order, each at the lowest offset where it
  // fits between those already placed.
  Placement place(const Order& order) {
    Placement plan;
    plan.offsets.assign(lifetimes_.size(), 0);
    placed_.assign(lifetimes_.size(), false);
    for (const size_t i : order) {
      plan.offsets[i] = lowest_fit(i, plan);
      placed_[i] = true;
      plan.arena_bytes =
          std::max(plan.arena_bytes, plan.offsets[i] + lifetimes_[i].bytes);
    }
    return plan;
  }

 private:
  // A buffer that is alive together with another: that one ends before `begin`
  // or starts at `end` or later, counted from this one's offset. `begin` may
  // lie behind `end` where both may share bytes.
  struct Neighbour {
    size_t buffer;
    ptrdiff_t begin, end;
  };

  Neighbour& neighbour_of(size_t i, size_t j) {
    return *std::ranges::find(neighbours_[i], j, &Neighbour::buffer);
  }

  // Gaps are tried by rising `begin`: what one of them moves the buffer behind
  // stays behind it.
  size_t lowest_fit(size_t i, const Placement& plan) {
    taken_.clear();
    for (const Neighbour& n : neighbours_[i]) {
      const auto at = static_cast<ptrdiff_t>(plan.offsets[n.buffer]);
      if (placed_[n.buffer] && lifetimes_[n.buffer].bytes > 0)
        taken_.emplace_back(at + n.begin, at + n.end);
    }
    std::sort(taken_.begin(), taken_.end());
    ptrdiff_t offset = 0;
    const auto step =
        static_cast<ptrdiff_t>(alignment_of(lifetimes_[i], alignment_));
    for (const auto& [begin, end] : taken_) {
      if (offset + size_of(lifetimes_[i]) <= begin) break;
      offset = std::max(offset, (end + step - 1) & ~(step - 1));
    }
    return static_cast<size_t>(offset);
  }

  std::span<const Lifetime> lifetimes_;
  size_t alignment_;
  std::vector<std::vector<Neighbour>> neighbours_;
  std::vector<bool> placed_;
  std::vector<std::pair<ptrdiff_t, ptrdiff_t>> taken_;
};

// Steps between a lifetime and the fullest step; 0 for buffers alive there.
size_t distance(const Lifetime& l, int fullest) {
  if (l.first_use > fullest) return static_cast<size_t>(l.first_use - fullest);
  if (l.last_use < fullest) return static_cast<size_t>(fullest - l.last_use);
  return 0;
}

std::vector<Order> greedy_orders(std::span<const Lifetime> lifetimes,
                                 int fullest) {
  Order base(lifetimes.size());
  std::iota(base.begin(), base.end(), size_t{0});
  const auto sorted_by = [&](auto key) {
    Order order = base;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return key(lifetimes[a]) > key(lifetimes[b]);
    });
    return order;
  };
  const auto length = [](const Lifetime& l) {
    return static_cast<size_t>(l.last_use - l.first_use + 1);
  };
  // What is alive at the fullest step must lie without gaps, so it goes first;
  // then outwards in time.
  const auto nearness = [&](const Lifetime& l) {
    return SIZE_MAX - distance(l, fullest);
  };
  return {
      sorted_by([](const Lifetime& l) { return l.bytes; }),
      sorted_by([&](const Lifetime& l) { return l.bytes * length(l); }),
      sorted_by([&](const Lifetime& l) { return length(l); }),
      sorted_by([](const Lifetime& l) { return -l.first_use; }),
      sorted_by([](const Lifetime& l) { return l.last_use; }),
      sorted_by(
          [&](const Lifetime& l) { return std::pair(nearness(l), l.bytes); }),
      sorted_by(
          [&](const Lifetime& l) { return std::pair(nearness(l), length(l)); }),
      sorted_by([&](const Lifetime& l) {
        return std::pair(nearness(l), -l.first_use);
      }),
      sorted_by([&](const Lifetime& l) {
        return std::pair(nearness(l), l.last_use);
      }),
      // Against time: what a rolling output is written over comes behind it,
      // and lies above.
      sorted_by(
          [](const Lifetime& l) { return std::pair(l.bytes, l.last_use); }),
  };
}

// Moves one buffer that reaches the top of the arena to an earlier turn: it
// then gets a lower offset and pushes others up.
void promote_peak(Order& order, const Placement& plan,
                  std::span<const Lifetime> lifetimes, const Random& random,
                  uint64_t round) {
  Order at_peak;
  for (size_t turn = 1; turn < order.size(); ++turn) {
    const size_t i = order[turn];
    if (plan.offsets[i] + lifetimes[i].bytes == plan.arena_bytes)
      at_peak.push_back(turn);
  }
  if (at_peak.empty()) return;
  const auto pick = [&](uint64_t k, size_t n) {
    return random.below(4 * round + k, static_cast<uint32_t>(n));
  };
  const size_t from = at_peak[pick(0, at_peak.size())];
  const auto begin = order.begin();
  const auto to = static_cast<ptrdiff_t>(pick(1, from));
  std::rotate(begin + to, begin + static_cast<ptrdiff_t>(from),
              begin + static_cast<ptrdiff_t>(from) + 1);
  // Now and then a second, random move leaves a local minimum.
  if (pick(2, 4) == 0) {
    const size_t a = pick(3, order.size());
    std::swap(order[a], order[(a * 7 + round) % order.size()]);
  }
}

}  // namespace

size_t alignment_of(const Lifetime& lifetime, size_t alignment) {
  return lifetime.bytes >= kLargeBytes ? kLargeAlignment : alignment;
}

size_t shared_bytes(size_t output_bytes, size_t input_bytes,
                    ptrdiff_t distance) {
  const auto out = static_cast<ptrdiff_t>(output_bytes);
  const auto in = static_cast<ptrdiff_t>(input_bytes);
  return static_cast<size_t>(
      std::max<ptrdiff_t>(0, std::min({in, out, out - distance})));
}

size_t lower_bound_bytes(std::span<const Lifetime> lifetimes,
                         std::span<const Rolling> rolling) {
  size_t bound = 0;
  for (const auto& [step, bytes] : bytes_by_step(lifetimes, rolling))
    bound = std::max(bound, bytes);
  return bound;
}

int fullest_step(std::span<const Lifetime> lifetimes,
                 std::span<const Rolling> rolling) {
  int fullest = 0;
  size_t most = 0;
  for (const auto& [step, bytes] : bytes_by_step(lifetimes, rolling))
    if (bytes > most) {
      most = bytes;
      fullest = step;
    }
  return fullest;
}

Placement place_buffers(std::span<const Lifetime> lifetimes, size_t alignment,
                        int max_rounds, std::span<const Rolling> rolling) {
  if (lifetimes.empty()) return {};
  Placer placer(lifetimes, alignment, rolling);
  struct Start {
    Order order;
    Placement plan;
  };
  std::vector<Start> starts;
  const size_t least =
      (aligned_bound_bytes(lifetimes, alignment, rolling) + alignment - 1) /
      alignment * alignment;
  for (Order& order :
       greedy_orders(lifetimes, fullest_step(lifetimes, rolling))) {
    Placement plan = placer.place(order);
    plan.proven_bytes = least;
    if (plan.is_optimal()) return plan;
    starts.push_back({std::move(order), std::move(plan)});
  }
  std::stable_sort(starts.begin(), starts.end(),
                   [](const Start& a, const Start& b) {
                     return a.plan.arena_bytes < b.plan.arena_bytes;
                   });
  starts.resize(kSearchedStarts);
  Placement best = starts[0].plan;
  tighten(lifetimes, alignment, kQuickWork, best, rolling);
  if (best.is_optimal()) return best;
  const size_t bound = best.proven_bytes;
  // About 2e8 pair visits at most: seconds on the slowest host.
  const size_t pairs = lifetimes.size() * lifetimes.size();
  const auto rounds =
      std::min<size_t>(static_cast<size_t>(max_rounds),
                       200'000'000 / std::max<size_t>(pairs, 1)) /
      starts.size();
  for (size_t s = 0; s < starts.size(); ++s) {
    const Random random(s, "place_buffers");
    auto& [order, plan] = starts[s];
    for (uint64_t round = 0; round < rounds && best.arena_bytes > bound;
         ++round) {
      Order next = order;
      promote_peak(next, plan, lifetimes, random, round);
      Placement next_plan = placer.place(next);
      if (next_plan.arena_bytes > plan.arena_bytes) continue;
      order = std::move(next);
      plan = std::move(next_plan);
      if (plan.arena_bytes < best.arena_bytes) best = plan;
    }
  }
  tighten(lifetimes, alignment, max_rounds * kWorkOfRound, best, rolling);
  return best;
}

std::optional<std::pair<size_t, size_t>> overlap(
    std::span<const Lifetime> lifetimes, const Placement& placement,
    std::span<const Rolling> rolling) {
  const auto end = [&](size_t i) {
    return placement.offsets[i] + lifetimes[i].bytes;
  };
  const auto rolls = [&](size_t out, size_t in) {
    return lifetimes[out].first_use <= lifetimes[in].last_use &&
           std::ranges::any_of(rolling, [&](const Rolling& r) {
             return r.output == out && r.input == in &&
                    static_cast<ptrdiff_t>(placement.offsets[in]) -
                            static_cast<ptrdiff_t>(placement.offsets[out]) >=
                        r.distance;
           });
  };
  for (size_t i = 0; i < lifetimes.size(); ++i) {
    if (end(i) > placement.arena_bytes) return {{i, i}};
    for (size_t j = i + 1; j < lifetimes.size(); ++j)
      if (meet(lifetimes[i], lifetimes[j]) && placement.offsets[i] < end(j) &&
          placement.offsets[j] < end(i) && !rolls(i, j) && !rolls(j, i))
        return {{i, j}};
  }
  return std::nullopt;
}

}  // namespace ft
