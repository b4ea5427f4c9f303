// Choices none of which is better in everything than another.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace ft {

// What a choice is judged by: more is better in the first, less in the others.
struct Merits {
  double quality = 0;                // between 0 and 1, or -loss
  std::array<double, 3> costs = {};  // RAM, time, energy
};

// Whether `a` is nowhere worse than `b`, and somewhere better.
bool dominates(const Merits& a, const Merits& b);

// Indices of those that none dominates, in order of the first cost; of equals
// the first.
std::vector<size_t> pareto_front(std::span<const Merits> all);

// Of a front (by index into `all`) the point with the largest distance from the
// line between its ends in quality over the first cost, both scaled to [0, 1]:
// beyond it quality costs more than before. Source: Satopaa et al., "Finding a
// Kneedle in a Haystack", 2011.
size_t knee(std::span<const Merits> all, std::span<const size_t> front);

}  // namespace ft
