#include "cli/plan_regions.h"

#include <fmt/format.h>

#include <algorithm>

#include "plan/regions.h"

namespace ft::cli {
namespace {

// Fastest first; of equal ones the smaller.
std::vector<MemoryRegion> writable_regions(const Target& target) {
  std::vector<MemoryRegion> regions;
  for (const MemoryRegion& r : target.memory)
    if (r.kind != "flash" && r.bytes_per_cycle > 0) regions.push_back(r);
  std::ranges::stable_sort(regions,
                           [](const MemoryRegion& a, const MemoryRegion& b) {
                             return a.bytes_per_cycle != b.bytes_per_cycle
                                        ? a.bytes_per_cycle > b.bytes_per_cycle
                                        : a.bytes < b.bytes;
                           });
  return regions;
}

// The arena buffer that an operand of call `c` lies in. Where an output rolls
// over its dying input both may begin at one offset.
size_t buffer_of(const Program& program, const BufferRef& ref, int c,
                 bool is_output) {
  size_t found = program.arena.size();
  int closest = -1;
  for (size_t i = 0; i < program.arena.size(); ++i) {
    const ArenaBuffer& b = program.arena[i];
    if (ref.offset < b.offset || b.offset + b.lifetime.bytes <= ref.offset ||
        c < b.lifetime.first_use || b.lifetime.last_use < c)
      continue;
    const int close = (b.offset == ref.offset ? 2 : 0) +
                      ((b.lifetime.first_use == c) == is_output ? 1 : 0);
    if (close <= closest) continue;
    found = i;
    closest = close;
  }
  return found;
}

// What the calls of a step read and write of each buffer.
std::vector<double> moved_bytes(const Program& program) {
  std::vector<double> moved(program.arena.size(), 0);
  for (size_t c = 0; c < program.calls.size(); ++c) {
    const KernelCall& call = program.calls[c];
    const Node& node = program.graph.node(call.node);
    const auto add = [&](const std::vector<BufferRef>& refs,
                         const std::vector<ValueId>& values, bool is_output) {
      for (size_t k = 0; k < values.size() && k < refs.size(); ++k) {
        if (refs[k].space != Space::kArena) continue;
        const size_t i =
            buffer_of(program, refs[k], static_cast<int>(c), is_output);
        if (i < moved.size())
          moved[i] += static_cast<double>(
              program.graph.value(values[k]).type.num_bytes());
      }
    };
    add(call.in, node.inputs, false);
    add(call.out, node.outputs, true);
  }
  return moved;
}

Json region_rows(const std::vector<MemoryRegion>& memory,
                 const RegionPlan& plan) {
  Json rows = Json::array();
  for (size_t r = 0; r < memory.size(); ++r)
    rows.push_back({{"region", memory[r].name},
                    {"kind", memory[r].kind},
                    {"region_bytes", memory[r].bytes},
                    {"used_bytes", plan.used_bytes[r]}});
  return rows;
}

}  // namespace

Status add_regions(const Target& target, const Program& program, Json& fields) {
  const std::vector<MemoryRegion> memory = writable_regions(target);
  if (memory.empty())
    return usage_error(fmt::format(
        "--place-regions: target {} states no bandwidth of a memory that can "
        "be written",
        target.name));
  std::vector<Region> regions;
  for (const MemoryRegion& r : memory)
    regions.push_back({.bytes = static_cast<size_t>(r.bytes),
                       .cost_per_byte = 1 / r.bytes_per_cycle});
  size_t beside = program.persistent_bytes + program.scratch_bytes;
  for (auto r = regions.rbegin(); r != regions.rend(); ++r) {
    const size_t taken = std::min(beside, r->bytes);
    r->bytes -= taken;
    beside -= taken;
  }
  std::vector<Lifetime> lifetimes;
  for (const ArenaBuffer& b : program.arena) lifetimes.push_back(b.lifetime);
  const std::vector<double> moved = moved_bytes(program);
  const auto plan = place_in_regions(lifetimes, moved, regions);
  if (beside > 0 || !plan)
    return does_not_fit(fmt::format(
        "no room was found for the step's {} bytes in the memories of {}",
        program.ram_bytes(), target.name));
  fields["regions"] = region_rows(memory, *plan);
  fields["moved_cycles"] = plan->cost;
  fields["moved_cycles_bound"] = plan->bound;
  fields["regions_are_optimal"] = plan->is_optimal;
  Json rows = Json::array();
  for (size_t i = 0; i < lifetimes.size(); ++i)
    rows.push_back({{"name", program.arena[i].name},
                    {"region", memory[plan->region[i]].name},
                    {"offset_bytes", plan->offsets[i]},
                    {"buffer_bytes", lifetimes[i].bytes},
                    {"moved_bytes", static_cast<int64_t>(moved[i])}});
  fields["buffers"] = std::move(rows);
  return ok_status();
}

}  // namespace ft::cli
