#include "search/training_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <sstream>

#include "base/file.h"
#include "base/toml_table.h"

namespace ft {
namespace {

constexpr int64_t kFormat = 1;

int read_int(TomlTable& table, const char* key, int64_t least) {
  return static_cast<int>(
      table.whole(key, least, std::numeric_limits<int>::max()));
}

LayerChoice read_layer(TomlTable table) {
  LayerChoice layer;
  layer.module = table.text("module");
  layer.r = read_int(table, "r", 0);
  table.done();
  return layer;
}

EnergySchedule read_schedule(TomlTable table) {
  EnergySchedule s;
  s.energy_mj_per_day = table.number("energy_mj_per_day");
  s.update_mj = table.number("update_mj");
  s.epoch_mj = table.number("epoch_mj");
  s.updates_per_day = table.whole("updates_per_day", 1);
  s.days = table.whole("days", 1);
  table.done();
  return s;
}

// Nobody obeys them: one that is no number is left out.
std::map<std::string, double> read_predicted(const TomlTable& table) {
  std::map<std::string, double> predicted;
  for (const auto& [key, node] : table.raw())
    if (const auto value = node.value<double>())
      predicted[std::string(key.str())] = *value;
  return predicted;
}

toml::table table_of(const EnergySchedule& s) {
  return toml::table{{"energy_mj_per_day", s.energy_mj_per_day},
                     {"update_mj", s.update_mj},
                     {"epoch_mj", s.epoch_mj},
                     {"updates_per_day", s.updates_per_day},
                     {"days", s.days}};
}

}  // namespace

std::string TrainingPlan::describe() const {
  std::string text = method;
  if (!layers.empty()) {
    const auto [low, high] = std::ranges::minmax(layers, {}, &LayerChoice::r);
    text += fmt::format(" on {} layer{}", layers.size(),
                        layers.size() == 1 ? "" : "s");
    if (high.r > 0)
      text += low.r == high.r ? fmt::format(" (rank {})", high.r)
                              : fmt::format(" (rank {}..{})", low.r, high.r);
  }
  return fmt::format(
      "{}, {}, {}, lr {:g}{}", text, name_of(precision), optimizer, lr,
      accumulate > 1 ? fmt::format(", {} samples an update", accumulate) : "");
}

std::string to_toml(const TrainingPlan& plan) {
  toml::table table{{"format", kFormat},
                    {"base_sha256", plan.base_sha256},
                    {"target", plan.target},
                    {"method", plan.method},
                    {"classes", plan.num_classes},
                    {"precision", std::string(name_of(plan.precision))},
                    {"optimizer", plan.optimizer},
                    {"lr", plan.lr},
                    {"epochs", plan.epochs},
                    {"accumulate", plan.accumulate},
                    {"ram_bytes", static_cast<int64_t>(plan.ram_bytes)}};
  toml::array layers;
  for (const LayerChoice& layer : plan.layers)
    layers.push_back(toml::table{{"module", layer.module}, {"r", layer.r}});
  if (!layers.empty()) table.insert("layer", std::move(layers));
  if (plan.schedule) table.insert("schedule", table_of(*plan.schedule));
  toml::table predicted;
  for (const auto& [key, value] : plan.predicted) predicted.insert(key, value);
  if (!predicted.empty()) table.insert("predicted", std::move(predicted));
  std::ostringstream text;
  text << toml::toml_formatter(table,
                               toml::toml_formatter::default_flags &
                                   ~toml::format_flags::indent_sub_tables)
       << "\n";
  return text.str();
}

Result<TrainingPlan> parse_training_plan(const std::string& text,
                                         const std::string& source) {
  FT_TRY(const TomlFile file, TomlFile::parse(text, source));
  TomlTable root = file.root();
  TrainingPlan plan;
  if (const int64_t format = root.whole("format"); format != kFormat)
    root.refuse("format", fmt::format("format {} is not known, only {}", format,
                                      kFormat));
  plan.base_sha256 = root.text("base_sha256");
  plan.target = root.text("target");
  plan.method = root.text("method");
  plan.num_classes = read_int(root, "classes", 0);
  const std::string precision = root.text("precision");
  plan.optimizer = root.text("optimizer");
  plan.lr = root.number("lr");
  plan.epochs = read_int(root, "epochs", 1);
  plan.accumulate = root.whole("accumulate", 1);
  plan.ram_bytes = static_cast<size_t>(root.whole("ram_bytes"));
  if (root.has("layer"))
    for (const TomlTable& layer : root.tables("layer"))
      plan.layers.push_back(read_layer(layer));
  if (root.has("schedule"))
    plan.schedule = read_schedule(root.table("schedule"));
  if (root.has("predicted"))
    plan.predicted = read_predicted(root.table("predicted"));
  root.done();
  FT_TRY_STATUS(file.status());
  FT_TRY(plan.precision, parse_precision(precision));
  FT_TRY_STATUS(find_method(plan.method).status());
  FT_TRY_STATUS(check_optimizer(optimizer_settings(plan)));
  return plan;
}

Result<TrainingPlan> load_training_plan(const std::string& path) {
  FT_TRY(const std::string text, read_text_file(path));
  return parse_training_plan(text, path);
}

MethodSettings method_settings(const TrainingPlan& plan, uint64_t seed) {
  MethodSettings settings;
  settings.method = plan.method;
  settings.seed = seed;
  settings.num_classes = plan.num_classes;
  for (const LayerChoice& layer : plan.layers) {
    settings.target_modules.push_back(layer.module);
    if (layer.r == 0) continue;
    settings.rank_pattern.emplace_back(layer.module, layer.r);
    settings.alpha_pattern.emplace_back(layer.module, 2 * layer.r);
  }
  return settings;
}

OptimizerSettings optimizer_settings(const TrainingPlan& plan) {
  OptimizerSettings settings;
  settings.optimizer = plan.optimizer;
  settings.lr = plan.lr;
  settings.accumulate = plan.accumulate;
  return settings;
}

}  // namespace ft
