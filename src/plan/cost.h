// What a Program costs on a target: units (instructions), cycles, time, energy
// and bytes moved per memory region, by call, by class of op and in all.
//
// Pure arithmetic on the plan: nothing runs. A call takes the units of its
// row's linear model (kernel_costs.h) or, if its bytes take longer to move than
// that, the cycles of its region's bandwidth. Bytes are those of its operands,
// each counted once: what a cache or registers re-read is in the units.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/result.h"
#include "plan/program.h"
#include "plan/target.h"

namespace ft {

struct CallCost {
  NodeId node = kNone;
  const KernelDef* kernel = nullptr;
  CostClass cost_class = CostClass::kElementwise;
  CallWork work;
  double units = 0, cycles = 0, energy_pj = 0;
  bool calibrated = false;    // by calls of this very row
  bool memory_bound = false;  // the bandwidth, not the core, decides
  std::vector<double> bytes;  // by region of the target
};

struct CostSum {
  double units = 0, cycles = 0, energy_pj = 0;
  int calls = 0, calibrated = 0;

  void add(const CallCost& call);
};

struct ProgramCost {
  std::vector<CallCost> calls;  // in the order of the program's
  std::array<CostSum, kNumCostClasses> classes;
  CostSum all;
  std::vector<double> bytes;  // by region of the target
  double hz = 0;

  double ms() const { return all.cycles / hz * 1e3; }
  double energy_mj() const { return all.energy_pj * 1e-9; }
};

// Kernel rows of the target, on a microcontroller those that are bit-equal to
// C99 only, so that it computes what this machine would; those of this machine
// for "host".
PlanOptions plan_on(const Target& target, PlanOptions options = {});

// Fails where the target states no costs, lacks a region "ram" or "flash", or
// has neither a row nor a class for a kernel.
Result<ProgramCost> cost_of(const Program& program, const Target& target);

}  // namespace ft
