#include "plan/exact_placement.h"

#include <algorithm>
#include <numeric>

#include "base/random.h"

namespace ft {
namespace {

using Index = uint32_t;

int64_t round_up_to(int64_t value, int64_t step) {
  return (value + step - 1) / step * step;
}

class FitSearch {
 public:
  FitSearch(std::span<const StackBuffer> buffers,
            std::span<const StackOverlap> overlaps, int64_t limit)
      : buffers_(buffers), limit_(limit), low_(buffers.size(), 0) {
    offsets_.assign(buffers.size(), 0);
    tied_.assign(buffers.size(), false);
    levels_.resize(buffers.size() + 1);
    find_sections(overlaps);
    find_neighbours(overlaps);
    rank_by_first_use();
  }

  // `taste`: which of the buffers with equal offsets is tried first.
  Fit run(int taste, int64_t& work) {
    weigh(taste);
    work_ = &work;
    std::ranges::fill(low_, 0);
    trail_.clear();
    levels_[0].rest = by_first_use_;
    if (solve_parts(0, {.floor = -1, .buffer = 0})) return Fit::kFound;
    return work < 0 ? Fit::kUnknown : Fit::kImpossible;
  }

  const std::vector<int64_t>& offsets() const { return offsets_; }

 private:
  struct Neighbour {
    Index other;
    int64_t rise;  // of `other` when it lies above
  };
  struct Undo {
    Index buffer;
    int64_t low;
  };
  // Where the last buffer was placed: offsets grow from there on.
  struct Last {
    int64_t floor;
    Index buffer;
  };
  // Kept from node to node: allocating them would be a third of the search.
  struct Level {
    std::vector<Index> rest;  // not placed, by first use
    std::vector<Index> turn;  // of one part of it, in the order of trying
  };

  // A section is a step at which a buffer comes to life: buffers that meet do
  // so at one of them.
  void find_sections(std::span<const StackOverlap> overlaps) {
    std::vector<int> starts;
    for (const StackBuffer& b : buffers_) starts.push_back(b.first_use);
    std::ranges::sort(starts);
    starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
    const auto section_of = [&](auto it) {
      return static_cast<Index>(it - starts.begin());
    };
    for (const StackBuffer& b : buffers_) {
      first_.push_back(
          section_of(std::ranges::lower_bound(starts, b.first_use)));
      last_.push_back(section_of(std::ranges::upper_bound(starts, b.last_use)) -
                      1);
    }
    tops_.assign(starts.size(), 0);
    slack_.assign(starts.size(), 0);
    for (const StackOverlap& o : overlaps)
      for (Index s = std::max(first_[o.below], first_[o.above]);
           s <= std::min(last_[o.below], last_[o.above]); ++s)
        slack_[s] +=
            std::min(buffers_[o.below].size - o.rise, buffers_[o.above].size);
  }

  void find_neighbours(std::span<const StackOverlap> overlaps) {
    neighbours_.resize(buffers_.size());
    for (Index i = 0; i < buffers_.size(); ++i)
      for (Index j = 0; j < buffers_.size(); ++j)
        if (i != j && first_[i] <= last_[j] && first_[j] <= last_[i])
          neighbours_[i].push_back({j, buffers_[i].size});
    for (const StackOverlap& o : overlaps) {
      tied_[o.below] = tied_[o.above] = true;
      for (Neighbour& n : neighbours_[o.below])
        if (n.other == o.above) n.rise = o.rise;
    }
  }

  void rank_by_first_use() {
    by_first_use_.resize(buffers_.size());
    std::iota(by_first_use_.begin(), by_first_use_.end(), Index{0});
    std::ranges::stable_sort(by_first_use_, {},
                             [&](Index i) { return buffers_[i].first_use; });
    rank_.resize(buffers_.size());
    for (Index r = 0; r < rank_.size(); ++r) rank_[by_first_use_[r]] = r;
  }

  // `depth`: how many are placed on the way here. Parts of what is left that
  // do not meet are independent.
  bool solve_parts(size_t depth, Last last) {
    const std::span<const Index> rest = levels_[depth].rest;
    size_t begin = 0;
    Index end = 0;
    for (size_t k = 0; k < rest.size(); ++k) {
      if (k > begin && first_[rest[k]] > end) {
        if (!solve(depth, rest.subspan(begin, k - begin), last)) return false;
        begin = k;
      }
      end = k == begin ? last_[rest[k]] : std::max(end, last_[rest[k]]);
    }
    return rest.empty() || solve(depth, rest.subspan(begin), last);
  }

  // `part` meets.
  bool solve(size_t depth, std::span<const Index> part, Last last) {
    std::vector<Index>& turn = levels_[depth].turn;
    turn.assign(part.begin(), part.end());
    sort_candidates(turn);
    if (!can_stack(turn, last.floor)) return false;
    int64_t roof = INT64_MAX;  // from here on one more would fit below
    for (const Index i : part)
      roof = std::min(roof, low_[i] + buffers_[i].size);
    for (const Index i : turn) {
      if (low_[i] >= roof) break;
      const bool in_order =
          low_[i] > last.floor ||
          (low_[i] == last.floor && (i > last.buffer || tied_[i]));
      if (!in_order) continue;
      if (place(depth, part, i)) return true;
      if (*work_ < 0) return false;
    }
    return false;
  }

  bool place(size_t depth, std::span<const Index> part, Index i) {
    const size_t mark = trail_.size();
    offsets_[i] = low_[i];
    for (const Neighbour& n : neighbours_[i]) {
      const int64_t low =
          round_up_to(offsets_[i] + n.rise, buffers_[n.other].step);
      if (low <= low_[n.other]) continue;
      trail_.push_back({n.other, low_[n.other]});
      low_[n.other] = low;
    }
    *work_ -= static_cast<int64_t>(neighbours_[i].size());
    std::vector<Index>& rest = levels_[depth + 1].rest;
    rest.clear();
    for (const Index k : part)
      if (k != i) rest.push_back(k);
    if (solve_parts(depth + 1, {.floor = offsets_[i], .buffer = i}))
      return true;
    for (; trail_.size() > mark; trail_.pop_back())
      low_[trail_.back().buffer] = trail_.back().low;
    return false;
  }

  void sort_candidates(std::vector<Index>& turn) const {
    std::ranges::sort(turn, [&](Index a, Index b) {
      if (low_[a] != low_[b]) return low_[a] < low_[b];
      if (weight_[a] != weight_[b]) return weight_[a] > weight_[b];
      return rank_[a] < rank_[b];
    });
  }

  // By area, length, size; then by areas with noise, since where one order is
  // lost for long another one is often lucky.
  void weigh(int taste) {
    const Random noise(static_cast<uint64_t>(taste), "fit_within");
    weight_.clear();
    for (Index i = 0; i < buffers_.size(); ++i) {
      const int64_t length = last_[i] - first_[i] + 1;
      const int64_t size = buffers_[i].size;
      const int64_t kinds[] = {size * length, length, size,
                               size * length * (4 + noise.below(i, 12))};
      weight_.push_back(kinds[std::min(taste, 3)]);
    }
  }

  // Whether in each section what is left can be stacked below the limit; `turn`
  // is by lowest offset, so the stack leaves the gaps that it must.
  bool can_stack(const std::vector<Index>& turn, int64_t floor) {
    Index begin = UINT32_MAX, end = 0;
    for (const Index i : turn) {
      begin = std::min(begin, first_[i]);
      end = std::max(end, last_[i]);
    }
    std::fill(tops_.begin() + begin, tops_.begin() + end + 1, 0);
    for (const Index i : turn) {
      const int64_t low = std::max(low_[i], floor);
      *work_ -= last_[i] - first_[i] + 4;
      if (low + buffers_[i].size > limit_) return false;
      for (Index s = first_[i]; s <= last_[i]; ++s) {
        tops_[s] = std::max(tops_[s], low) + buffers_[i].size;
        if (tops_[s] > limit_ + slack_[s]) return false;
      }
    }
    return *work_ >= 0;
  }

  std::span<const StackBuffer> buffers_;
  const int64_t limit_;
  std::vector<Index> first_, last_;  // sections, by buffer
  std::vector<std::vector<Neighbour>> neighbours_;
  std::vector<bool> tied_;      // may lie where another one does
  std::vector<int64_t> slack_;  // by section: what overlaps may save
  std::vector<int64_t> tops_;   // by section
  std::vector<int64_t> low_;    // by buffer not placed: the lowest offset left
  std::vector<int64_t> offsets_;
  std::vector<Undo> trail_;
  std::vector<Level> levels_;  // by how many are placed
  std::vector<Index> by_first_use_, rank_;
  std::vector<int64_t> weight_;  // by buffer: heavier ones first
  int64_t* work_ = nullptr;
};

}  // namespace

Fit fit_within(std::span<const StackBuffer> buffers,
               std::span<const StackOverlap> overlaps, int64_t limit,
               int64_t& work, std::vector<int64_t>& offsets) {
  constexpr int kTastes = 12;
  FitSearch search(buffers, overlaps, limit);
  for (int turn = 0; turn <= kTastes; ++turn) {
    // A twentieth for each taste, what is left for the first.
    int64_t share = turn < kTastes ? work / 20 : work;
    work -= share;
    const Fit fit = search.run(turn % kTastes, share);
    work += std::max<int64_t>(share, 0);
    if (fit == Fit::kFound) offsets = search.offsets();
    if (fit != Fit::kUnknown) return fit;
  }
  return Fit::kUnknown;
}

}  // namespace ft
