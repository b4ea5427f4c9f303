#include "plan/fit_cost.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

namespace ft {
namespace {

constexpr size_t kTerms = kCostTerms;
using Terms = CostTerms;

// A term more must take this much off the mean squared relative error.
constexpr double kWorth = 1e-6;

// Relative errors: rows are terms / units, the right side is 1. Terms are
// scaled to their largest, which keeps the equations well conditioned.
struct Equations {
  std::vector<Terms> rows;
  Terms scale{};
};

Equations equations_of(std::span<const MeasuredCall> calls) {
  Equations out;
  for (const MeasuredCall& call : calls) {
    Terms row = call.work.terms();
    for (double& v : row) v /= call.units;
    for (size_t k = 0; k < kTerms; ++k)
      out.scale[k] = std::max(out.scale[k], row[k]);
    out.rows.push_back(row);
  }
  for (Terms& row : out.rows)
    for (size_t k = 0; k < kTerms; ++k)
      row[k] = out.scale[k] > 0 ? row[k] / out.scale[k] : 0;
  return out;
}

// Solves a x = b for the terms in `used` by elimination; nothing if they do not
// tell each other apart.
std::optional<Terms> solve(std::array<Terms, kTerms> a, Terms b,
                           const std::vector<size_t>& used) {
  for (size_t i = 0; i < used.size(); ++i) {
    const size_t p = used[i];
    if (std::abs(a[p][p]) < 1e-9) return std::nullopt;
    for (size_t j = i + 1; j < used.size(); ++j) {
      const double f = a[used[j]][p] / a[p][p];
      for (const size_t k : used) a[used[j]][k] -= f * a[p][k];
      b[used[j]] -= f * b[p];
    }
  }
  Terms x{};
  for (size_t i = used.size(); i-- > 0;) {
    double sum = b[used[i]];
    for (size_t j = i + 1; j < used.size(); ++j)
      sum -= a[used[i]][used[j]] * x[used[j]];
    x[used[i]] = sum / a[used[i]][used[i]];
  }
  return x;
}

double mean_squared_error(const Equations& e, const Terms& x) {
  double sum = 0;
  for (const Terms& row : e.rows) {
    double y = -1;
    for (size_t k = 0; k < kTerms; ++k) y += row[k] * x[k];
    sum += y * y;
  }
  return sum / static_cast<double>(e.rows.size());
}

std::pair<std::array<Terms, kTerms>, Terms> normal_equations(
    const Equations& e) {
  std::array<Terms, kTerms> a{};
  Terms b{};
  for (const Terms& row : e.rows)
    for (size_t i = 0; i < kTerms; ++i) {
      b[i] += row[i];
      for (size_t j = 0; j < kTerms; ++j) a[i][j] += row[i] * row[j];
    }
  return {a, b};
}

}  // namespace

KernelCost fit_cost(std::span<const MeasuredCall> calls) {
  const Equations e = equations_of(calls);
  const auto [a, b] = normal_equations(e);
  Terms best{};
  double least = 1;  // of no term at all
  for (unsigned subset = 1; subset < (1u << kTerms); ++subset) {
    std::vector<size_t> used;
    for (size_t k = 0; k < kTerms; ++k)
      if ((subset >> k & 1) != 0 && e.scale[k] > 0) used.push_back(k);
    if (used.empty() || used.size() > calls.size()) continue;
    const auto x = solve(a, b, used);
    if (!x || std::ranges::any_of(*x, [](double v) { return v < 0; })) continue;
    const double error =
        mean_squared_error(e, *x) + kWorth * static_cast<double>(used.size());
    if (error < least) {
      least = error;
      best = *x;
    }
  }
  KernelCost cost{.units = {}, .samples = static_cast<int>(calls.size())};
  for (size_t k = 0; k < kTerms; ++k)
    cost.units[k] = e.scale[k] > 0 ? best[k] / e.scale[k] : 0;
  for (const MeasuredCall& call : calls)
    cost.error = std::max(
        cost.error, std::abs(cost.of(call.work) - call.units) / call.units);
  return cost;
}

}  // namespace ft
