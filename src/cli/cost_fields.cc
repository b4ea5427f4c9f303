#include "cli/cost_fields.h"

#include <cmath>

namespace ft::cli {
namespace {

int64_t rounded(double value) { return std::llround(value); }

double calibrated_share(const ProgramCost& cost) {
  double cycles = 0;
  for (const CallCost& call : cost.calls)
    if (call.calibrated) cycles += call.cycles;
  return cost.all.cycles > 0 ? cycles / cost.all.cycles : 1;
}

}  // namespace

Json work_rows(const Program& program, const std::string& name) {
  Json rows = Json::array();
  for (size_t c = 0; c < program.calls.size(); ++c) {
    const KernelCall& call = program.calls[c];
    const Node& node = program.graph.node(call.node);
    const NodeView view = view_of(program.graph, node);
    const CallWork work = work_of(view);
    rows.push_back(
        {{"program", name},
         {"call", c},
         {"node", node.name},
         {"op", node.op->name},
         {"kernel", call.kernel->symbol},
         {"class", name_of(node.op->cost_class)},
         {"class_key", class_key(node.op->cost_class, call.kernel->signature)},
         {"elements", work.elements},
         {"macs", work.macs},
         {"rows", work.rows},
         {"runs", work.runs},
         {"reads", work.reads},
         {"outside", work.outside},
         {"blocks", work.blocks},
         {"variant", variant_of(view)}});
  }
  return rows;
}

void add_cost_fields(const ProgramCost& cost, const Target& target,
                     const std::string& name, Json& fields) {
  if (target.costs->unit == "instructions")
    fields[name + "_instructions"] = rounded(cost.all.units);
  fields[name + "_cycles"] = rounded(cost.all.cycles);
  fields[name + "_ms"] = cost.ms();
  fields[name + "_energy_mj"] = number_or_null(cost.energy_mj());
  for (size_t r = 0; r < target.memory.size(); ++r)
    if (cost.bytes[r] > 0)
      fields[name + "_" + target.memory[r].name + "_traffic_bytes"] =
          static_cast<uint64_t>(cost.bytes[r]);
  fields[name + "_calibrated"] = calibrated_share(cost);
}

Json class_rows(const ProgramCost& cost, const std::string& name) {
  Json rows = Json::array();
  for (size_t c = 0; c < kNumCostClasses; ++c) {
    const CostSum& sum = cost.classes[c];
    if (sum.calls == 0) continue;
    rows.push_back({{"program", name},
                    {"class", name_of(static_cast<CostClass>(c))},
                    {"calls", sum.calls},
                    {"calibrated_calls", sum.calibrated},
                    {"units", rounded(sum.units)},
                    {"ms", sum.cycles / cost.hz * 1e3},
                    {"energy_mj", number_or_null(sum.energy_pj * 1e-9)},
                    {"share", sum.cycles / cost.all.cycles}});
  }
  return rows;
}

Json call_rows(const Program& program, const ProgramCost& cost,
               const Target& target, const std::string& name) {
  Json rows = Json::array();
  for (const CallCost& call : cost.calls) {
    Json row = {{"program", name},
                {"node", program.graph.node(call.node).name},
                {"kernel", call.kernel->symbol},
                {"class", name_of(call.cost_class)},
                {"calibrated", call.calibrated},
                {"macs", rounded(call.work.macs)},
                {"units", rounded(call.units)},
                {"us", call.cycles / cost.hz * 1e6},
                {"energy_uj", number_or_null(call.energy_pj * 1e-6)},
                {"memory_bound", call.memory_bound}};
    for (size_t r = 0; r < target.memory.size(); ++r)
      row[target.memory[r].name + "_bytes"] = rounded(call.bytes[r]);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace ft::cli
