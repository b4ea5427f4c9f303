#include "plan/select_kernel.h"

#include <fmt/format.h>

#include <algorithm>

namespace ft {
namespace {

bool allowed(const KernelDef& kernel, const PlanOptions& options) {
  if (std::ranges::find(options.without, kernel.symbol) !=
      options.without.end())
    return false;
  if (kernel.isa == Isa::kC99) return !options.without_c99;
  if (options.c99_only) return false;
  if (options.exact && kernel.tolerance != 0) return false;
  if (options.device)
    return std::ranges::find(*options.device, kernel.isa) !=
           options.device->end();
  if (kernel.run == nullptr) return false;
  return kernel.available == nullptr || kernel.available();
}

}  // namespace

Result<SelectedKernel> select_kernel(const Graph& graph, const Node& node,
                                     const PlanOptions& options) {
  const LowerContext context{graph, node, view_of(graph, node)};
  Lowered shared;
  FT_TRY_STATUS(node.op->lower(context, shared));
  const std::string signature = signature_of(context.view);
  for (const KernelDef& kernel : node.op->kernels) {
    if (kernel.signature != signature || !allowed(kernel, options)) continue;
    Lowered lowered = shared;
    if (kernel.accepts && !kernel.accepts(context, lowered)) continue;
    if (kernel.prepare) FT_TRY_STATUS(kernel.prepare(context, lowered));
    const Overlap overlap = node.op->overlap
                                ? node.op->overlap(kernel, context, lowered)
                                : Overlap{};
    return SelectedKernel{&kernel, std::move(lowered), overlap};
  }
  return context.view.error(fmt::format(
      "no kernel for {} on {}{}", signature, options.machine,
      options.without_c99 ? ", whose file does not list c99 rows" : ""));
}

}  // namespace ft
