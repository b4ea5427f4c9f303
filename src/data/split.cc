#include "data/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/random.h"

namespace ft {

std::vector<uint32_t> shuffled(size_t n, uint64_t seed,
                               std::string_view stream) {
  std::vector<uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  const Random random(seed, stream);
  for (size_t i = n; i > 1; --i)
    std::swap(order[i - 1], order[random.below(i, static_cast<uint32_t>(i))]);
  return order;
}

Result<Split> split_per_class(std::span<const int> labels, size_t classes,
                              size_t train_per_class, double validation,
                              uint64_t seed) {
  if (train_per_class == 0)
    return usage_error("0 training samples per class were asked for");
  if (!(validation >= 0 && validation < 1))
    return usage_error(
        fmt::format("validation fraction {} is not in [0, 1)", validation));
  const auto held_out = static_cast<size_t>(
      validation * static_cast<double>(train_per_class) + 1e-9);
  Split split;
  std::vector<size_t> taken(classes), count(classes);
  for (const int label : labels) ++count.at(static_cast<size_t>(label));
  for (size_t c = 0; c < classes; ++c)
    if (count[c] <= train_per_class)
      return invalid_input(fmt::format(
          "class {} has {} samples, too few for {} to train and one to test", c,
          count[c], train_per_class));
  for (const uint32_t i : shuffled(labels.size(), seed, "split")) {
    const size_t nth = taken[static_cast<size_t>(labels[i])]++;
    (nth >= train_per_class ? split.test
     : nth < held_out       ? split.validation
                            : split.train)
        .push_back(i);
  }
  for (auto* part : {&split.train, &split.validation, &split.test})
    std::sort(part->begin(), part->end());
  return split;
}

Result<Split> split_fractions(size_t samples,
                              const std::array<double, 3>& fractions,
                              SplitOrder order, uint64_t seed) {
  const auto total = static_cast<double>(samples);
  const auto train_end =
      static_cast<size_t>(std::llround(fractions[0] * total));
  const auto test_begin = std::max(
      train_end,
      static_cast<size_t>(std::llround((fractions[0] + fractions[1]) * total)));
  if (test_begin > samples || (fractions[0] > 0 && train_end == 0) ||
      (fractions[2] > 0 && test_begin == samples))
    return invalid_input(
        fmt::format("{} samples are too few for the split {:.3g}/{:.3g}/{:.3g}",
                    samples, fractions[0], fractions[1], fractions[2]));
  std::vector<uint32_t> all(samples);
  std::iota(all.begin(), all.end(), 0u);
  if (order == SplitOrder::kShuffled) all = shuffled(samples, seed, "split");
  const auto part = [&](size_t begin, size_t end) {
    std::vector<uint32_t> out(all.begin() + static_cast<ptrdiff_t>(begin),
                              all.begin() + static_cast<ptrdiff_t>(end));
    std::sort(out.begin(), out.end());
    return out;
  };
  return Split{part(0, train_end), part(train_end, test_begin),
               part(test_begin, samples)};
}

Status hold_out(Split& split, double validation, SplitOrder order,
                uint64_t seed) {
  if (validation == 0) return ok_status();
  if (!split.validation.empty())
    return usage_error(
        "--validation and a split with a validation part contradict each "
        "other");
  const size_t n = split.train.size();
  const auto held_out =
      static_cast<size_t>(validation * static_cast<double>(n) + 1e-9);
  if (!(validation > 0 && validation < 1) || held_out == 0)
    return usage_error(fmt::format(
        "validation fraction {} of {} training samples holds none out, or all",
        validation, n));
  std::vector<uint32_t> drawn(n);
  std::iota(drawn.begin(), drawn.end(), 0u);
  if (order == SplitOrder::kShuffled) drawn = shuffled(n, seed, "validation");
  const std::vector<uint32_t> all = std::exchange(split.train, {});
  for (size_t i = 0; i < n; ++i)
    (i < n - held_out ? split.train : split.validation)
        .push_back(all[drawn[i]]);
  std::ranges::sort(split.train);
  std::ranges::sort(split.validation);
  return ok_status();
}

Result<std::array<double, 3>> parse_fractions(std::string_view text) {
  const auto bad = [&] {
    return usage_error(fmt::format(
        "split '{}' is not train/validation/test or train/test, such as 12/4/4",
        text));
  };
  std::vector<double> parts;
  for (std::string_view rest = text;;) {
    const size_t slash = std::min(rest.find('/'), rest.size());
    double value = 0;
    const auto [end, error] =
        std::from_chars(rest.data(), rest.data() + slash, value);
    if (error != std::errc() || end != rest.data() + slash || !(value >= 0) ||
        !std::isfinite(value))
      return bad();
    parts.push_back(value);
    if (slash == rest.size()) break;
    rest.remove_prefix(slash + 1);
  }
  if (parts.size() == 2) parts.insert(parts.begin() + 1, 0.0);
  const double sum = std::accumulate(parts.begin(), parts.end(), 0.0);
  if (parts.size() != 3 || !(sum > 0) || parts[0] == 0) return bad();
  return std::array{parts[0] / sum, parts[1] / sum, parts[2] / sum};
}

}  // namespace ft
