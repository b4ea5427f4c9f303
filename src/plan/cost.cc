#include "plan/cost.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/updates_input.h"

namespace ft {
namespace {

class Estimator {
 public:
  Estimator(const Program& program, const Target& target)
      : program_(program), target_(target) {}

  Result<ProgramCost> run() {
    if (!target_.costs)
      return invalid_input(fmt::format(
          "target '{}' states no costs; add a table [costs] to its file",
          target_.name));
    FT_TRY(ram_, index_of("ram"));
    FT_TRY(flash_, index_of("flash"));
    ProgramCost cost;
    cost.hz = target_.costs->hz;
    cost.bytes.assign(target_.memory.size(), 0);
    for (const KernelCall& call : program_.calls) {
      FT_TRY(CallCost one, cost_of_call(call));
      cost.all.add(one);
      cost.classes[static_cast<size_t>(one.cost_class)].add(one);
      for (size_t r = 0; r < one.bytes.size(); ++r)
        cost.bytes[r] += one.bytes[r];
      cost.calls.push_back(std::move(one));
    }
    return cost;
  }

 private:
  Result<size_t> index_of(std::string_view name) const {
    for (size_t r = 0; r < target_.memory.size(); ++r)
      if (target_.memory[r].name == name) return r;
    return invalid_input(fmt::format("target '{}' has no memory named '{}'",
                                     target_.name, name));
  }

  Result<CallCost> cost_of_call(const KernelCall& call) const {
    const TargetCosts& costs = *target_.costs;
    const Node& node = program_.graph.node(call.node);
    const NodeView view = view_of(program_.graph, node);
    const CostClass cost_class = node.op->cost_class;
    const CallWork work = work_of(view);
    const auto model = find_cost(costs.kernels, kernel_costs(costs.kernels_of),
                                 *call.kernel, cost_class, variant_of(view));
    if (!model)
      return invalid_input(
          fmt::format("target '{}': no cost of {}, nor of any {} op; run 'make "
                      "calibrate-targets'",
                      target_.name, call.kernel->symbol, name_of(cost_class)));
    CallCost out{.node = call.node,
                 .kernel = call.kernel,
                 .cost_class = cost_class,
                 .work = work,
                 .calibrated = model->fitted,
                 .bytes = bytes_of(call, view)};
    out.units = model->of(out.work);
    const ClassCost& figures = costs.of(cost_class);
    out.cycles = out.units * figures.cycles_per_unit;
    double moving = 0, moving_pj = 0;
    for (size_t r = 0; r < out.bytes.size(); ++r) {
      moving += out.bytes[r] / bytes_per_cycle(target_.memory[r]);
      moving_pj += out.bytes[r] * target_.memory[r].pj_per_byte;
    }
    out.memory_bound = moving > out.cycles;
    out.cycles = std::max(out.cycles, moving);
    out.energy_pj = out.cycles * figures.pj_per_cycle + moving_pj;
    return out;
  }

  // Of the smallest cache that holds all that the program touches, which stays
  // there from one run to the next.
  double bytes_per_cycle(const MemoryRegion& region) const {
    const size_t touched = program_.constant_bytes + program_.ram_bytes();
    for (const CacheLevel& cache : target_.caches)
      if (touched <= cache.bytes)
        return std::max(cache.bytes_per_cycle, region.bytes_per_cycle);
    return region.bytes_per_cycle;
  }

  size_t region_of(Space space) const {
    return space == Space::kConstant ? flash_ : ram_;
  }

  // What an op writes besides its outputs is read and written.
  std::vector<double> bytes_of(const KernelCall& call,
                               const NodeView& view) const {
    std::vector<double> bytes(target_.memory.size(), 0);
    for (size_t i = 0; i < view.inputs.size(); ++i) {
      if (!view.has(i)) continue;
      const bool written = updates_input(*view.op, i);
      bytes[region_of(call.in[i].space)] +=
          static_cast<double>(view.in(i).num_bytes()) * (written ? 2 : 1);
    }
    for (size_t i = 0; i < view.outputs.size(); ++i)
      bytes[region_of(call.out[i].space)] +=
          static_cast<double>(view.out(i).num_bytes());
    for (const BufferRef& aux : call.aux)
      bytes[flash_] += static_cast<double>(aux.constant.size());
    return bytes;
  }

  const Program& program_;
  const Target& target_;
  size_t ram_ = 0, flash_ = 0;
};

}  // namespace

void CostSum::add(const CallCost& call) {
  units += call.units;
  cycles += call.cycles;
  energy_pj += call.energy_pj;
  ++calls;
  calibrated += call.calibrated ? 1 : 0;
}

PlanOptions plan_on(const Target& target, PlanOptions options) {
  if (target.name == "host") return options;
  options.device = target.kernels;
  options.without_c99 = !target.has_c99;
  options.machine = target.name;
  options.exact = options.exact || !target.runs_linux;
  return options;
}

Result<ProgramCost> cost_of(const Program& program, const Target& target) {
  return Estimator(program, target).run();
}

}  // namespace ft
