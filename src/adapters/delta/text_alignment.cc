#include "adapters/delta/text_alignment.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace ft {
namespace {

// In 16ths of a bit.
constexpr int32_t kSame = 1, kSubstitute = 96, kInsert = 128, kMove = 190,
                  kMoveOn = 1;
constexpr int32_t kNever = std::numeric_limits<int32_t>::max() / 2;
constexpr size_t kSlack = 160;  // of the band, beside the lengths' difference
constexpr size_t kMostCells = size_t{1} << 26;

ft_delta_text text_of(ft_delta_text_op op, std::byte byte) {
  return {.op = op, .byte = static_cast<uint8_t>(byte), .distance = 0};
}

// A cell is i bytes of `to` told after j of `from`, at k = j - i + half. It is
// reached by writing a byte or by skipping one; how, its step says:
constexpr uint8_t kOp = 3;              // what was written
constexpr uint8_t kWroteAfterSkip = 4;  // and the cell before was a skip's
constexpr uint8_t kSkipGoesOn = 8;      // the skip did not begin here

class Aligner {
 public:
  Aligner(std::span<const std::byte> from, std::span<const std::byte> to)
      : from_(from), to_(to) {
    half_ = std::max(from.size(), to.size()) -
            std::min(from.size(), to.size()) + kSlack;
    width_ = 2 * half_ + 1;
  }

  bool fits() const { return (to_.size() + 1) * width_ <= kMostCells; }

  std::vector<ft_delta_text> run() {
    steps_.assign((to_.size() + 1) * width_, 0);
    wrote_.assign(width_, kNever);
    skipped_ = wrote_;
    for (size_t i = 0; i <= to_.size(); ++i) fill_row(i);
    return traced();
  }

 private:
  bool is_cell(size_t i, size_t k) const {
    return k < width_ && i + k >= half_ && i + k - half_ <= from_.size();
  }
  size_t column(size_t i, size_t k) const { return i + k - half_; }
  uint8_t& step(size_t i, size_t k) { return steps_[i * width_ + k]; }

  // The costs of row i from those of the row above.
  void fill_row(size_t i) {
    std::vector<int32_t> wrote(width_, kNever), skipped(width_, kNever);
    for (size_t k = 0; k < width_; ++k) {
      if (!is_cell(i, k)) continue;
      const size_t j = column(i, k);
      if (i == 0 && j == 0) wrote[k] = 0;
      if (i > 0 && j > 0) {
        const bool same = to_[i - 1] == from_[j - 1];
        consider(i, k, k, same ? FT_DELTA_SAME : FT_DELTA_SUBSTITUTE,
                 same ? kSame : kSubstitute, wrote[k]);
      }
      if (i > 0 && k + 1 < width_)
        consider(i, k, k + 1, FT_DELTA_INSERT, kInsert, wrote[k]);
      if (k == 0 || j == 0) continue;
      const int32_t on = skipped[k - 1] + kMoveOn, begin = wrote[k - 1] + kMove;
      skipped[k] = std::min({on, begin, kNever});
      if (on < begin) step(i, k) |= kSkipGoesOn;
    }
    wrote_ = std::move(wrote);
    skipped_ = std::move(skipped);
  }

  // Writing by `op` from cell `before` of the row above.
  void consider(size_t i, size_t k, size_t before, ft_delta_text_op op,
                int32_t cost, int32_t& best) {
    const int32_t least = std::min(wrote_[before], skipped_[before]) + cost;
    if (least >= best) return;
    best = least;
    step(i, k) = static_cast<uint8_t>(
        op | (skipped_[before] < wrote_[before] ? kWroteAfterSkip : 0));
  }

  // From the end of `to`, wherever in `from` that is cheapest.
  std::vector<ft_delta_text> traced() {
    std::vector<ft_delta_text> reversed;
    auto k =
        static_cast<size_t>(std::ranges::min_element(wrote_) - wrote_.begin());
    bool skip = false;
    for (size_t i = to_.size(); i > 0 || skip;) {
      if (skip) {
        ft_delta_text move{.op = FT_DELTA_MOVE, .byte = 0, .distance = 1};
        for (; (step(i, k) & kSkipGoesOn) != 0; --k) ++move.distance;
        --k;
        skip = false;
        reversed.push_back(move);
        continue;
      }
      const uint8_t how = step(i, k);
      const auto op = static_cast<ft_delta_text_op>(how & kOp);
      reversed.push_back(text_of(op, to_[--i]));
      if (op == FT_DELTA_INSERT) ++k;
      skip = (how & kWroteAfterSkip) != 0;
    }
    std::ranges::reverse(reversed);
    return reversed;
  }

  std::span<const std::byte> from_, to_;
  size_t half_ = 0, width_ = 0;
  std::vector<uint8_t> steps_;
  std::vector<int32_t> wrote_, skipped_;  // costs of the newest row
};

std::vector<ft_delta_text> byte_by_byte(std::span<const std::byte> from,
                                        std::span<const std::byte> to) {
  std::vector<ft_delta_text> out;
  for (size_t i = 0; i < to.size(); ++i) {
    const bool same = i < from.size() && from[i] == to[i];
    out.push_back(text_of(same              ? FT_DELTA_SAME
                          : i < from.size() ? FT_DELTA_SUBSTITUTE
                                            : FT_DELTA_INSERT,
                          to[i]));
  }
  return out;
}

}  // namespace

std::vector<ft_delta_text> align_text(std::span<const std::byte> from,
                                      std::span<const std::byte> to) {
  Aligner aligner(from, to);
  return aligner.fits() ? aligner.run() : byte_by_byte(from, to);
}

}  // namespace ft
