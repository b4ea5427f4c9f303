// fit_costs: measured calls on stdin, fitted rows on stdout.
//
// In, a line a call: KEY UNITS ELEMENTS MACS ROWS RUNS READS OUTSIDE BLOCKS,
// see plan/kernel_costs.h. Out, a line a key: KEY SAMPLES ERROR and units of
// each term, as targets/kernel_costs.txt has them. tools/calibrate_targets.py
// calls it.
#include <cstdio>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "plan/fit_cost.h"

int main() {
  std::map<std::string, std::vector<ft::MeasuredCall>> calls;
  std::string key;
  ft::MeasuredCall call;
  ft::CallWork& w = call.work;
  while (std::cin >> key >> call.units >> w.elements >> w.macs >> w.rows >>
         w.runs >> w.reads >> w.outside >> w.blocks)
    if (call.units > 0) calls[key].push_back(call);
  for (const auto& [name, measured] : calls) {
    if (name.find(':') != std::string::npos && measured.size() < 3) continue;
    const ft::KernelCost cost = ft::fit_cost(measured);
    std::printf("%s %d %.3f", name.c_str(), cost.samples, cost.error);
    for (const double unit : cost.units) std::printf(" %.4g", unit);
    std::printf("\n");
  }
  return std::cin.eof() ? 0 : 1;
}
