#include "cli/search_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace ft::cli {
namespace {

std::vector<RankBar> ranks_of(const Sensitivity& measured,
                              const TrainingPlan& plan) {
  std::vector<RankBar> ranks;
  for (const LayerSensitivity& layer : measured.layers) {
    const auto choice =
        std::ranges::find(plan.layers, layer.module, &LayerChoice::module);
    const bool adapted = choice != plan.layers.end();
    ranks.push_back({.layer = layer.module,
                     .r = adapted ? choice->r : 0,
                     .adapted = adapted});
  }
  return ranks;
}

FrontPoint point_of(const SearchedPlan& p, bool has_costs) {
  FrontPoint point{.plan = p.plan.describe(),
                   .ram_bytes = static_cast<double>(p.costs.ram_bytes),
                   .quality = std::abs(p.result.quality)};
  if (has_costs) {
    point.step_ms = p.costs.step_ms;
    point.step_mj = p.costs.step_mj;
  }
  return point;
}

}  // namespace

ReportData search_report(const std::string& model, const SearchResult& result,
                         size_t chosen, const std::optional<Target>& target,
                         bool classifies) {
  const TrainingPlan& plan = result.trained[chosen].plan;
  ReportData data{
      .title = "Plans for " + std::filesystem::path(model).filename().string(),
      .subtitle = fmt::format(
          "{} candidates, {} priced{}, {} trained. Chosen: {}.",
          result.candidates, result.priced, target ? " on " + target->name : "",
          result.trained.size(), plan.describe())};
  std::vector<size_t> points = result.front;
  if (std::ranges::find(points, chosen) == points.end())
    points.push_back(chosen);
  std::ranges::stable_sort(
      points, {}, [&](size_t i) { return result.trained[i].costs.ram_bytes; });
  for (const size_t i : points) {
    FrontPoint point = point_of(result.trained[i], target && target->costs);
    point.is_accuracy = classifies;
    point.chosen = i == chosen;
    data.front.push_back(std::move(point));
  }
  data.ranks = ranks_of(result.sensitivity, plan);
  return data;
}

}  // namespace ft::cli
