#include "plan/fit_cost.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"

namespace ft {
namespace {

CallWork work(double macs, double elements, double rows) {
  return {.elements = elements,
          .macs = macs,
          .rows = rows,
          .runs = macs / 16,
          .reads = elements / 2 + rows};
}

std::vector<CallWork> shapes() {
  const Random random(7, "shapes");
  std::vector<CallWork> all;
  for (size_t i = 0; i < 12; ++i) {
    const double rows = 1 + static_cast<double>(random.bits(2 * i) % 200);
    const double last = 1 + static_cast<double>(random.bits(2 * i + 1) % 64);
    all.push_back(
        work(rows * last * static_cast<double>(9 + i), rows * last, rows));
  }
  return all;
}

TEST(FitCost, FindsWhatMadeTheFigures) {
  std::vector<MeasuredCall> calls;
  for (const CallWork& w : shapes())
    calls.push_back({w, 120 + 2.25 * w.macs + 14 * w.elements});
  const KernelCost cost = fit_cost(calls);
  EXPECT_LT(cost.error, 0.01);
  EXPECT_EQ(cost.samples, 12);
  const CallWork large = work(1e6, 4096, 128);
  EXPECT_NEAR(cost.of(large), 120 + 2.25e6 + 14 * 4096, 1e4);
}

TEST(FitCost, NeverPaysForMoreWork) {
  const Random random(3, "noise");
  std::vector<MeasuredCall> calls;
  size_t k = 0;
  for (const CallWork& w : shapes())
    calls.push_back({w, 50 + w.elements * (1 + 0.3 * random.normal(k++))});
  for (MeasuredCall& call : calls) call.units = std::max(call.units, 1.0);
  for (const double unit : fit_cost(calls).units) EXPECT_GE(unit, 0);
}

TEST(FitCost, OneCallGivesItsRate) {
  const CallWork w = work(1000, 100, 10);
  const KernelCost cost = fit_cost(std::vector<MeasuredCall>{{w, 5000}});
  EXPECT_NEAR(cost.of(w), 5000, 1);
}

}  // namespace
}  // namespace ft
