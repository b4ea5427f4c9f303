#include "search/training_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "base/file.h"
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace ft {
namespace {

constexpr int64_t kFormat = 1;

std::string at(const std::string& source, const toml::source_region& region) {
  return fmt::format("{}:{}", source, region.begin.line);
}

// Reads keys of a table and remembers which; the first problem wins.
class Reader {
 public:
  Reader(const toml::table& table, const std::string& source)
      : table_(table), source_(source) {}

  template <class T>
  void read(const char* key, T& out, const char* what) {
    known_.insert(key);
    const toml::node* node = table_.get(key);
    if (node == nullptr) return fail(table_, fmt::format("no '{}'", key));
    const auto value = node->value<T>();
    if (!value) return fail(*node, fmt::format("'{}' must be {}", key, what));
    out = *value;
  }

  template <class T>
  void read_count(const char* key, T& out, int64_t least) {
    int64_t value = least;
    read(key, value, "a whole number");
    if (value < least)
      return fail(
          *table_.get(key),
          fmt::format("'{}' is {}: must be at least {}", key, value, least));
    out = static_cast<T>(value);
  }

  void fail(const toml::node& node, const std::string& why) {
    if (status_.ok())
      status_ =
          invalid_input(fmt::format("{}: {}", at(source_, node.source()), why));
  }

  Status finish() {
    for (const auto& [key, node] : table_)
      if (!known_.contains(std::string(key.str())))
        fail(node, fmt::format("unknown key '{}'", key.str()));
    return status_;
  }
  void know(const char* key) { known_.insert(key); }
  const Status& status() const { return status_; }

 private:
  const toml::table& table_;
  const std::string& source_;
  std::set<std::string> known_;
  Status status_;
};

void read_layers(const toml::table& table, const std::string& source,
                 Reader& reader, std::vector<LayerChoice>& layers) {
  reader.know("layer");
  if (table.get("layer") == nullptr) return;
  const toml::array* array = table.get_as<toml::array>("layer");
  if (array == nullptr || !array->is_array_of_tables())
    return reader.fail(*table.get("layer"), "'layer' must be tables [[layer]]");
  for (const toml::node& node : *array) {
    Reader one(*node.as_table(), source);
    LayerChoice layer;
    one.read("module", layer.module, "a text");
    one.read_count("r", layer.r, 0);
    if (const Status status = one.finish(); !status.ok())
      return reader.fail(
          node, status.message().substr(status.message().find(' ') + 1));
    layers.push_back(std::move(layer));
  }
}

void read_schedule(const toml::table& table, const std::string& source,
                   Reader& reader, std::optional<EnergySchedule>& schedule) {
  reader.know("schedule");
  const toml::node* node = table.get("schedule");
  if (node == nullptr) return;
  if (!node->is_table())
    return reader.fail(*node, "'schedule' must be a table [schedule]");
  Reader one(*node->as_table(), source);
  EnergySchedule s;
  one.read("energy_mj_per_day", s.energy_mj_per_day, "a number");
  one.read("update_mj", s.update_mj, "a number");
  one.read("epoch_mj", s.epoch_mj, "a number");
  one.read_count("updates_per_day", s.updates_per_day, 1);
  one.read_count("days", s.days, 1);
  if (const Status status = one.finish(); !status.ok())
    return reader.fail(*node,
                       status.message().substr(status.message().find(' ') + 1));
  schedule = s;
}

toml::table table_of(const EnergySchedule& s) {
  return toml::table{{"energy_mj_per_day", s.energy_mj_per_day},
                     {"update_mj", s.update_mj},
                     {"epoch_mj", s.epoch_mj},
                     {"updates_per_day", s.updates_per_day},
                     {"days", s.days}};
}

void read_predicted(const toml::table& table, Reader& reader,
                    std::map<std::string, double>& predicted) {
  reader.know("predicted");
  const toml::table* values = table.get_as<toml::table>("predicted");
  if (values == nullptr) return;
  for (const auto& [key, node] : *values)
    if (const auto value = node.value<double>())
      predicted[std::string(key.str())] = *value;
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
  const toml::parse_result parsed = toml::parse(text, source);
  if (!parsed)
    return invalid_input(fmt::format("{}: {}",
                                     at(source, parsed.error().source()),
                                     parsed.error().description()));
  const toml::table& table = parsed.table();
  Reader reader(table, source);
  TrainingPlan plan;
  int64_t format = 0;
  std::string precision;
  reader.read("format", format, "a whole number");
  if (reader.status().ok() && format != kFormat)
    reader.fail(
        *table.get("format"),
        fmt::format("format {} is not known, only {}", format, kFormat));
  reader.read("base_sha256", plan.base_sha256, "a text");
  reader.read("target", plan.target, "a text");
  reader.read("method", plan.method, "a text");
  reader.read_count("classes", plan.num_classes, 0);
  reader.read("precision", precision, "a text");
  reader.read("optimizer", plan.optimizer, "a text");
  reader.read("lr", plan.lr, "a number");
  reader.read_count("epochs", plan.epochs, 1);
  reader.read_count("accumulate", plan.accumulate, 1);
  reader.read_count("ram_bytes", plan.ram_bytes, 0);
  read_layers(table, source, reader, plan.layers);
  read_schedule(table, source, reader, plan.schedule);
  read_predicted(table, reader, plan.predicted);
  FT_TRY_STATUS(reader.finish());
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
