#include "codegen/slices.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "plan/cost.h"

namespace ft::codegen {
namespace {

// ft_model counts calls and the slices of one in 16 bits each.
constexpr int64_t kMostCalls = 65535, kMostSlices = 65535;

// Multiply-accumulates, or elements written.
double work_of_call(const Program& program, const KernelCall& call) {
  const Node& node = program.graph.node(call.node);
  const NodeView view = view_of(program.graph, node);
  int64_t cost = node.op->macs ? node.op->macs(view) : 0;
  for (const TensorType* out : view.outputs)
    cost = std::max(cost, out->shape.num_elements());
  for (const TensorType* in : view.inputs)
    if (in != nullptr && view.outputs.empty())
      cost = std::max(cost, in->shape.num_elements());
  return static_cast<double>(std::max<int64_t>(cost, 1));
}

Result<std::vector<double>> costs_of(const Program& program,
                                     const Target& target) {
  std::vector<double> costs;
  if (!target.costs) {
    for (const KernelCall& call : program.calls)
      costs.push_back(work_of_call(program, call));
    return costs;
  }
  FT_TRY(const ProgramCost cost, cost_of(program, target));
  for (const CallCost& call : cost.calls)
    costs.push_back(std::max(call.units, 1.0));
  return costs;
}

CallSlices divide(const Program& program, const KernelCall& call, double cost,
                  int64_t limit) {
  CallSlices out{.cost = cost, .call_cost = cost};
  const double most = static_cast<double>(limit);
  if (limit == 0 || cost <= most) return out;
  Lowered lowered;
  lowered.params = call.params;
  const NodeView view = view_of(program.graph, program.graph.node(call.node));
  const Division d = division_of(*call.kernel, view, lowered);
  if (d.units <= d.grain || d.units > INT32_MAX) return out;
  const double unit_cost = cost * d.share / static_cast<double>(d.units);
  const int64_t grain = d.grain;
  auto size = static_cast<int64_t>(std::min(most / unit_cost, 1e9));
  size = std::max(size, d.units * d.rounds / kMostSlices + 1);
  size = std::max(size / grain, int64_t{1}) * grain;
  // Slices of one length, in whole grains.
  const int64_t slices = (d.units + size - 1) / size;
  size = ((d.units + slices - 1) / slices + grain - 1) / grain * grain;
  if (size >= d.units && d.rounds == 1) return out;
  size = std::min(size, d.units);
  out.units = static_cast<int32_t>(d.units);
  out.size = static_cast<int32_t>(size);
  out.rounds = d.rounds;
  out.cost = unit_cost * static_cast<double>(size);
  return out;
}

// next_call: the call in the upper half, and in the lower one how many of its
// slices are done.
constexpr std::string_view kPoll =
    R"(/* How a call is done: `size` of its units at a time, in rounds over all of them;
 * and what that costs at most. */
typedef struct {{
  int32_t units, size, rounds;
  uint32_t cost;
}} call_slices;

static const call_slices slices[{count}] = {{
{rows}}};

static void run_call(ft_model *m, const ft_part *part) {{
  switch (m->next_call >> 16) {{
{cases}    default: break;
  }}
}}

static void run_slice(ft_model *m) {{
  const call_slices *s = &slices[m->next_call >> 16];
  const int32_t done = (int32_t)(m->next_call & 0xFFFFu);
  const int32_t parts = (s->units + s->size - 1) / s->size;
  ft_part part;
  part.round = done / parts;
  part.first = done % parts * s->size;
  part.end = s->units - part.first > s->size ? part.first + s->size : s->units;
  part.is_last = done + 1 == parts * s->rounds;
  run_call(m, parts * s->rounds > 1 ? &part : 0);
  m->next_call =
      part.is_last ? ((m->next_call >> 16) + 1) << 16 : m->next_call + 1;
}}

ft_status ft_train_poll(ft_model *m, uint32_t budget) {{
  uint32_t used = 0;
  if (m->next_call == 0) begin_step(m);
  do {{
    used += slices[m->next_call >> 16].cost;
    run_slice(m);
    if (m->next_call >> 16 == {count}) {{
      m->next_call = 0;
      return finish_step(m);
    }}
  }} while (used < budget &&
           budget - used >= slices[m->next_call >> 16].cost);
  return FT_BUSY;
}}
)";

}  // namespace

int64_t Slices::count() const {
  int64_t count = 0;
  for (const CallSlices& call : calls) count += call.count();
  return count;
}

size_t Slices::longest() const {
  const auto found = std::ranges::max_element(calls, {}, &CallSlices::cost);
  return static_cast<size_t>(found - calls.begin());
}

Result<Slices> slices_of(const Program& program, const Target& target,
                         int64_t limit) {
  if (static_cast<int64_t>(program.calls.size()) > kMostCalls)
    return does_not_fit(
        fmt::format("--rtos: a step of {} kernel calls; it can have {}",
                    program.calls.size(), kMostCalls));
  Slices out;
  out.unit = target.costs ? target.costs->unit : "multiply-accumulates";
  FT_TRY(const std::vector<double> costs, costs_of(program, target));
  for (size_t c = 0; c < costs.size(); ++c)
    out.calls.push_back(divide(program, program.calls[c], costs[c], limit));
  return out;
}

uint32_t slice_cost(const CallSlices& call) {
  return static_cast<uint32_t>(std::min(std::ceil(call.cost), 4e9));
}

std::string slice_report(const Program& program, const Slices& slices,
                         int64_t limit) {
  const size_t longest = slices.longest();
  const auto row = [&](size_t c) {
    const KernelCall& call = program.calls[c];
    const Node& node = program.graph.node(call.node);
    return fmt::format("| {} {} | `{}` | {} | {:.0f} | {:.0f} |\n",
                       node.op->name, node.name.substr(0, node.name.find(';')),
                       call.kernel->symbol, slices.calls[c].count(),
                       slices.calls[c].cost, slices.calls[c].call_cost);
  };
  std::vector<size_t> above;
  for (size_t c = 0; c < slices.calls.size(); ++c)
    if (limit > 0 && slices.calls[c].cost > static_cast<double>(limit) &&
        c != longest)
      above.push_back(c);
  std::ranges::sort(above, [&](size_t a, size_t b) {
    return slices.calls[a].cost > slices.calls[b].cost;
  });
  std::string text = fmt::format(
      "A training step is {} slices in {} kernel calls. The longest is "
      "predicted to take\n{:.0f} {}{}.\n\n"
      "| call | kernel | slices | longest | the whole call |\n"
      "|---|---|---|---|---|\n{}",
      slices.count(), slices.calls.size(), slices.calls[longest].cost,
      slices.unit,
      limit > 0 && slices.calls[longest].cost > static_cast<double>(limit)
          ? "; these cannot be divided as finely as was asked for"
          : "",
      row(longest));
  for (const size_t c : above) text += row(c);
  return text;
}

std::string print_poll(const Slices& slices,
                       const std::vector<std::string>& names) {
  std::string rows, cases;
  for (size_t i = 0; i < names.size(); ++i) {
    const CallSlices& call = slices.calls[i];
    rows += fmt::format("    {{{}, {}, {}, {}}},\n", call.units, call.size,
                        call.rounds, slice_cost(call));
    cases += fmt::format("    case {}: {}(m, part); break;\n", i, names[i]);
  }
  rows.resize(rows.size() - 2);
  return fmt::format(kPoll, fmt::arg("count", names.size()),
                     fmt::arg("rows", rows), fmt::arg("cases", cases));
}

}  // namespace ft::codegen
