#include "search/candidates.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace ft {
namespace {

constexpr double kMostEnergy = 0.9;

// Models with no more layers have every set of them looked at.
constexpr size_t kFewLayers = 4;

int max_rank_of(const LayerSensitivity& layer) {
  return static_cast<int>(std::min(layer.rows, layer.columns));
}

int aligned(int r, int tile, const LayerSensitivity& layer, int most) {
  const int up = (std::max(r, 1) + tile - 1) / tile * tile;
  return std::min({up, most, max_rank_of(layer)});
}

// One tile for all, two, and as many as hold most of a layer's energy; and
// parts of a tile, which save RAM where there is little, but hardly time.
std::vector<std::vector<int>> rank_choices(
    const CandidateSpace& space, std::span<const LayerSensitivity> layers,
    const std::vector<size_t>& chosen) {
  std::set<std::vector<int>> all;
  const auto add = [&](auto rank_of) {
    std::vector<int> ranks;
    for (const size_t i : chosen)
      ranks.push_back(aligned(rank_of(layers[i]), space.rank_tile, layers[i],
                              space.max_rank));
    all.insert(std::move(ranks));
  };
  for (int part = space.rank_tile / 2; part > 0; part /= 2) {
    std::vector<int> ranks;
    for (const size_t i : chosen)
      ranks.push_back(std::min(part, max_rank_of(layers[i])));
    all.insert(std::move(ranks));
  }
  add([&](const LayerSensitivity&) { return space.rank_tile; });
  add([&](const LayerSensitivity&) { return 2 * space.rank_tile; });
  add([](const LayerSensitivity& l) {
    return count_for(l.spectrum, kMostEnergy);
  });
  return {all.begin(), all.end()};
}

Candidate make(const CandidateSpace& space, const CandidateGroup& group,
               std::span<const LayerSensitivity> layers,
               const std::vector<size_t>& chosen, size_t set,
               const std::vector<int>& ranks) {
  Candidate c{.plan = space.common, .set = set};
  c.plan.method = group.method;
  c.plan.precision = group.precision;
  c.plan.optimizer = group.optimizer;
  for (size_t k = 0; k < chosen.size(); ++k) {
    const LayerSensitivity& layer = layers[chosen[k]];
    const int r = ranks.empty() ? 0 : ranks[k];
    c.plan.layers.push_back({layer.module, r});
    c.promise += r == 0 ? layer.fisher : energy_of_ranks(layer, r);
  }
  return c;
}

int sum_of_ranks(const Candidate& c) {
  int sum = 0;
  for (const LayerChoice& layer : c.plan.layers) sum += layer.r;
  return sum;
}

void fill(const CandidateSpace& space, std::span<const LayerSensitivity> layers,
          CandidateGroup& group) {
  const bool takes_layers = group.method != "head";
  const auto method = find_method(group.method);
  const bool ranked = method.ok() && (*method)->default_rank > 0;
  if (!takes_layers) {
    group.candidates.push_back(make(space, group, layers, {}, 0, {}));
    return;
  }
  const auto sets = layer_sets(layers);
  for (size_t set = 0; set < sets.size(); ++set) {
    std::vector<std::vector<int>> choices = {{}};
    if (ranked) choices = rank_choices(space, layers, sets[set]);
    for (const auto& ranks : choices)
      group.candidates.push_back(
          make(space, group, layers, sets[set], set, ranks));
  }
  std::ranges::stable_sort(
      group.candidates, [](const Candidate& a, const Candidate& b) {
        return a.promise != b.promise ? a.promise > b.promise
                                      : sum_of_ranks(a) < sum_of_ranks(b);
      });
}

}  // namespace

std::vector<std::vector<size_t>> layer_sets(
    std::span<const LayerSensitivity> layers) {
  const size_t n = layers.size();
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::vector<size_t> by_worth = order;
  std::ranges::stable_sort(by_worth, std::greater<>(), [&](size_t i) {
    return layers[i].fisher / static_cast<double>(layers[i].bytes_of_rank());
  });
  std::vector<std::vector<size_t>> sets = {order};
  const auto add = [&](std::vector<size_t> chosen) {
    std::ranges::sort(chosen);
    if (std::ranges::find(sets, chosen) == sets.end())
      sets.push_back(std::move(chosen));
  };
  for (size_t k = 1; k < n; k *= 2) {
    add({order.end() - static_cast<ptrdiff_t>(k), order.end()});
    add({by_worth.begin(), by_worth.begin() + static_cast<ptrdiff_t>(k)});
  }
  for (size_t mask = 1; n <= kFewLayers && mask < size_t{1} << n; ++mask) {
    std::vector<size_t> chosen;
    for (size_t i = 0; i < n; ++i)
      if ((mask >> i & 1) != 0) chosen.push_back(i);
    add(std::move(chosen));
  }
  return sets;
}

double energy_of_ranks(const LayerSensitivity& layer, int r) {
  double part = 0;
  for (size_t i = 0; i < layer.spectrum.size() && i < static_cast<size_t>(r);
       ++i)
    part += layer.spectrum[i];
  return layer.fisher * part;
}

std::vector<CandidateGroup> make_candidates(
    const CandidateSpace& space, std::span<const LayerSensitivity> layers) {
  std::vector<CandidateGroup> groups;
  for (const std::string& method : space.methods)
    for (const Precision precision : space.precisions)
      for (const std::string& optimizer : space.optimizers) {
        CandidateGroup group{.method = method,
                             .precision = precision,
                             .optimizer = optimizer,
                             .candidates = {}};
        fill(space, layers, group);
        groups.push_back(std::move(group));
      }
  return groups;
}

}  // namespace ft
