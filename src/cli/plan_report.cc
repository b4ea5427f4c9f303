#include "cli/plan_report.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/file.h"
#include "cli/report/pictures.h"
#include "cli/report/plan_pictures.h"
#include "cli/report/program_map.h"
#include "cli/report/svg.h"
#include "plan/cost.h"

namespace ft::cli {
namespace {

Result<Roofline> roofline_of(const Program& step, const Target& target) {
  FT_TRY(const ProgramCost cost, cost_of(step, target));
  Roofline roofline;
  for (const CallCost& call : cost.calls) {
    CallPoint point{
        .name = fmt::format("{} ({})", step.graph.node(call.node).name,
                            call.kernel->symbol),
        .cost_class = std::string(name_of(call.cost_class)),
        .macs = static_cast<double>(call.work.macs),
        .cycles = call.cycles};
    for (const double bytes : call.bytes) point.bytes += bytes;
    roofline.calls.push_back(std::move(point));
  }
  for (const MemoryRegion& region : target.memory)
    if (region.name == "ram") roofline.bytes_per_cycle = region.bytes_per_cycle;
  return roofline;
}

KeyFigure bytes_figure(const char* label, size_t bytes) {
  return {.label = label,
          .value = format_bytes(static_cast<double>(bytes)),
          .note = exact_bytes(bytes)};
}

}  // namespace

void PictureOptions::add_to(CLI::App& app) {
  app.add_option("--picture", picture,
                 "write a picture to this .svg file: the memory map of the "
                 "step, with --search the Pareto front");
  app.add_option("--picture-of", of,
                 "what --picture shows: memory, costs (roofline of the step on "
                 "--target), with --search front or ranks (of each layer)")
      ->check(CLI::IsMember({"memory", "costs", "front", "ranks"}));
  app.add_option("--report", report,
                 "write a page with all these pictures (.html)");
}

Status PictureOptions::check(bool search, bool has_target) const {
  if (!of.empty() && picture.empty())
    return usage_error("--picture-of needs --picture");
  if (!picture.empty() && !picture.ends_with(".svg"))
    return usage_error(fmt::format("--picture {}: must end in .svg", picture));
  const bool of_search = of == "front" || of == "ranks";
  if (!of.empty() && of_search != search)
    return usage_error(fmt::format("--picture-of {} is {} --search", of,
                                   of_search ? "of" : "not of"));
  if (of == "costs" && !has_target)
    return usage_error("--picture-of costs needs a --target");
  for (const std::string& path : {picture, report})
    if (!path.empty()) FT_TRY_STATUS(check_writable(path));
  return ok_status();
}

Status PictureOptions::write(const ReportData& data) const {
  if (!picture.empty()) {
    std::string svg;
    if (of == "costs") svg = draw_roofline(data.roofline);
    if (of == "ranks") svg = draw_ranks(data.ranks);
    if (of == "front" || (of.empty() && !data.memory))
      svg = draw_front(data.front);
    const bool map = svg.empty() && data.memory && of != "costs";
    if (svg.empty() && !map)
      return usage_error(
          fmt::format("--picture-of {}: there is nothing to draw", of));
    FT_TRY_STATUS(write_file_atomically(
        picture, map ? memory_map_file(*data.memory) : picture_file(svg)));
  }
  if (report.empty()) return ok_status();
  return write_file_atomically(report, render_report(data));
}

Result<ReportData> plan_report(const std::string& model, const Program& step,
                               const Target* target) {
  ReportData data{.title = "A training step of " +
                           std::filesystem::path(model).filename().string(),
                  .subtitle = target == nullptr
                                  ? "What it needs."
                                  : fmt::format("What it needs and costs on "
                                                "{}.",
                                                target->name)};
  data.figures = {bytes_figure("RAM of the step", step.ram_bytes()),
                  bytes_figure("arena", step.arena_bytes),
                  bytes_figure("adapter and optimizer", step.persistent_bytes),
                  bytes_figure("flash for weights", step.constant_bytes)};
  data.memory = map_of(step);
  if (target == nullptr || !target->costs) return data;
  FT_TRY(const ProgramCost cost, cost_of(step, *target));
  data.figures.push_back({.label = "time of a step",
                          .value = fmt::format("{:.4g} ms", cost.ms()),
                          .note = "predicted"});
  data.figures.push_back({.label = "energy of a step",
                          .value = fmt::format("{:.4g} mJ", cost.energy_mj()),
                          .note = "predicted"});
  FT_TRY(data.roofline, roofline_of(step, *target));
  return data;
}

}  // namespace ft::cli
