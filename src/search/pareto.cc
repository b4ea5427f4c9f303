#include "search/pareto.h"

#include <algorithm>

namespace ft {

bool dominates(const Merits& a, const Merits& b) {
  bool better = a.quality > b.quality;
  if (a.quality < b.quality) return false;
  for (size_t i = 0; i < a.costs.size(); ++i) {
    if (a.costs[i] > b.costs[i]) return false;
    better = better || a.costs[i] < b.costs[i];
  }
  return better;
}

std::vector<size_t> pareto_front(std::span<const Merits> all) {
  const auto equal = [](const Merits& a, const Merits& b) {
    return a.quality == b.quality && a.costs == b.costs;
  };
  std::vector<size_t> front;
  for (size_t i = 0; i < all.size(); ++i) {
    bool best = true;
    for (size_t k = 0; k < all.size() && best; ++k)
      best = !dominates(all[k], all[i]) && (k >= i || !equal(all[k], all[i]));
    if (best) front.push_back(i);
  }
  std::ranges::stable_sort(front, {},
                           [&](size_t i) { return all[i].costs[0]; });
  return front;
}

size_t knee(std::span<const Merits> all, std::span<const size_t> front) {
  double low = all[front[0]].quality, high = low;
  double least = all[front[0]].costs[0], most = least;
  for (const size_t i : front) {
    low = std::min(low, all[i].quality);
    high = std::max(high, all[i].quality);
    least = std::min(least, all[i].costs[0]);
    most = std::max(most, all[i].costs[0]);
  }
  const double height = high > low ? high - low : 1;
  const double width = most > least ? most - least : 1;
  size_t at = front[0];
  double farthest = -1;
  for (const size_t i : front) {
    const double distance =
        (all[i].quality - low) / height - (all[i].costs[0] - least) / width;
    if (distance > farthest) {
      farthest = distance;
      at = i;
    }
  }
  return at;
}

}  // namespace ft
