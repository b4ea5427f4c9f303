// What a call of a kernel row costs, as a linear model of the call's size.
//
// The coefficients are fitted by tools/calibrate_targets.py from calls of
// varied shapes under emulation and kept in targets/kernel_costs.txt, by
// target: units (instructions) per call, result, product, row, run of products
// and element read. Nothing here knows what a unit takes on a device.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "ops/op_def.h"

namespace ft {

// How much a call has to do, from its node's types alone.
struct CallWork {
  double elements = 0;  // of the result (of the parameter, for an update)
  double macs = 0;      // products, by the op's own count
  double rows = 0;      // elements / the last dimension
  double runs = 0;      // products / the last dimension of the first input
  double reads = 0;     // elements of the first input
};
CallWork work_of(const NodeView& node);

struct KernelCost {
  // Per call, element, product, row, run, read; none is negative.
  std::array<double, 6> units{};
  int samples = 0;     // calls that it was fitted from; 0: of its class
  double error = 0;    // largest |predicted - measured| / measured among them
  bool fitted = true;  // of this very row

  double of(const CallWork& work) const;
};

using KernelCosts = std::map<std::string, KernelCost, std::less<>>;

// The rows of targets/kernel_costs.txt of one target; empty: it has none.
const KernelCosts& kernel_costs(std::string_view target);

// How a row works on such a call, where that shows in its size: a product of
// points or of windows, with an adapter beside it or without. "" or ":point",
// ":window+side" and the like, behind the row's symbol.
std::string_view variant_of(const CallWork& work);

// How rows that nobody measured are priced: "class/s8", by class and by the
// type that the row's signature begins with.
std::string class_key(CostClass cost_class, std::string_view signature);

// The row's model for such a call, or for any, or that of its class; each in
// `own` before `shared`.
std::optional<KernelCost> find_cost(const KernelCosts& own,
                                    const KernelCosts& shared,
                                    const KernelDef& kernel,
                                    CostClass cost_class, const CallWork& work);

}  // namespace ft
