// What a call of a kernel row costs, as a linear model of the call's size.
//
// The coefficients are fitted by tools/calibrate_targets.py from calls of
// varied shapes under emulation and kept in targets/kernel_costs.txt, by
// target, in units (instructions) of each of CallWork's terms. Nothing here
// knows what a unit takes on a device.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "plan/call_work.h"

namespace ft {

struct KernelCost {
  CostTerms units{};   // of each of CallWork::terms(); none is negative
  int samples = 0;     // calls that it was fitted from; 0: of its class
  double error = 0;    // largest |predicted - measured| / measured among them
  bool fitted = true;  // of this very row

  double of(const CallWork& work) const;
};

using KernelCosts = std::map<std::string, KernelCost, std::less<>>;

// The rows of targets/kernel_costs.txt of one target; empty: it has none.
const KernelCosts& kernel_costs(std::string_view target);

// How rows that nobody measured are priced: "class/s8", by class and by the
// type that the row's signature begins with.
std::string class_key(CostClass cost_class, std::string_view signature);

// The row's model for such a call, or for any, or that of its class; each in
// `own` before `shared`.
std::optional<KernelCost> find_cost(const KernelCosts& own,
                                    const KernelCosts& shared,
                                    const KernelDef& kernel,
                                    CostClass cost_class,
                                    std::string_view variant);

}  // namespace ft
