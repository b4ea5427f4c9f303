// Deterministic splits of a data set into training, validation and test.
//
// Functions of labels, sample count and seed only: the loaders sort samples by
// name, so the order of files on disk has no influence.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ft {

struct Split {
  std::vector<uint32_t> train, validation, test;  // ascending sample numbers
};

// 0, 1, ..., n - 1 in an order drawn from seed and stream.
std::vector<uint32_t> shuffled(size_t n, uint64_t seed,
                               std::string_view stream);

// `train_per_class` samples of each class for training, the rest for testing.
// Of each class' training samples the fraction `validation` (rounded down) is
// held out for validation. Fails if a class has no sample left to test.
Result<Split> split_per_class(std::span<const int> labels, size_t classes,
                              size_t train_per_class, double validation,
                              uint64_t seed);

enum class SplitOrder { kInOrder, kShuffled };

// Fractions of train, validation and test, which sum to 1. Boundaries are
// rounded to the nearest sample; train and test are never empty unless their
// fraction is 0. kInOrder is for time series.
Result<Split> split_fractions(size_t samples,
                              const std::array<double, 3>& fractions,
                              SplitOrder order, uint64_t seed);

// Moves the fraction `validation` of the training samples (rounded down), drawn
// by seed or the last ones in order, to the validation part; nothing for 0.
// kUsage where that part has samples already, or would get none.
Status hold_out(Split& split, double validation, SplitOrder order,
                uint64_t seed);

// "12/4/4" or "0.6/0.2/0.2": parts of any common unit. "80/20" has no
// validation part.
Result<std::array<double, 3>> parse_fractions(std::string_view text);

}  // namespace ft
