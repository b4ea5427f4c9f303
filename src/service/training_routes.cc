// The training that learns from samples.
#include "service/parts.h"
#include "service/training_record.h"

namespace ft::service {
namespace {

// Reads a field into `to` where it is given.
template <class T>
Status take(Result<std::optional<T>> read, T& to) {
  if (!read.ok()) return read.status();
  if (*read) to = std::move(**read);
  return ok_status();
}

Status take_whole(const Fields& fields, const char* name, int64_t low,
                  int64_t high, auto& to) {
  FT_TRY(const auto value, fields.whole(name, low, high));
  if (value) to = static_cast<std::remove_cvref_t<decltype(to)>>(*value);
  return ok_status();
}

Status read_training(const Fields& fields, const Input& body,
                     fieldtune::TrainingOptions& t) {
  FT_TRY_STATUS(take(fields.text("method"), t.method));
  FT_TRY_STATUS(take_whole(fields, "rank", 1, 4096, t.rank));
  FT_TRY_STATUS(take(fields.number("alpha"), t.alpha));
  FT_TRY(t.target_modules, fields.texts("target_modules"));
  FT_TRY(t.classes, fields.texts("classes"));
  FT_TRY_STATUS(take(fields.text("precision"), t.precision));
  FT_TRY_STATUS(take_whole(fields, "batch", 1, 256, t.batch));
  FT_TRY_STATUS(take(fields.text("optimizer"), t.optimizer));
  FT_TRY_STATUS(take(fields.number("learning_rate"), t.learning_rate));
  FT_TRY_STATUS(take(fields.number("weight_decay"), t.weight_decay));
  FT_TRY_STATUS(take(fields.text("schedule"), t.schedule));
  FT_TRY_STATUS(
      take_whole(fields, "total_steps", 1, int64_t{1} << 40, t.total_steps));
  FT_TRY_STATUS(take_whole(fields, "seed", 0, INT64_MAX, t.seed));
  if (!fields.has("settings")) return ok_status();
  if (!body["settings"].is_object())
    return usage_error("field 'settings' must be an object of texts");
  for (const auto& [name, value] : body["settings"].items()) {
    if (!value.is_string())
      return usage_error("field 'settings' must be an object of texts");
    t.settings[name] = value.get<std::string>();
  }
  return ok_status();
}

Status read_background(const Fields& fields, TrainingStart& start) {
  auto& o = start.background;
  FT_TRY_STATUS(take(fields.text("adapter"), o.name));
  FT_TRY_STATUS(
      take_whole(fields, "publish_every", 1, INT32_MAX, o.publish_every));
  FT_TRY_STATUS(take(fields.number("least_gain"), o.least_gain));
  FT_TRY_STATUS(take(fields.number("held_back"), o.held_back));
  FT_TRY_STATUS(
      take_whole(fields, "least_held_back", 1, 1 << 20, o.least_held_back));
  FT_TRY_STATUS(
      take(fields.number("max_pressure_percent"), o.max_pressure_percent));
  FT_TRY_STATUS(take(fields.flag("confirm"), start.confirm));
  FT_TRY_STATUS(take(fields.flag("use"), start.use));
  return take(fields.flag("fresh"), start.fresh);
}

Result<TrainingStart> read_start(const Input& body) {
  FT_TRY(const Fields fields, Fields::of(body, {"adapter",
                                                "method",
                                                "rank",
                                                "alpha",
                                                "target_modules",
                                                "classes",
                                                "settings",
                                                "precision",
                                                "batch",
                                                "optimizer",
                                                "learning_rate",
                                                "weight_decay",
                                                "schedule",
                                                "total_steps",
                                                "seed",
                                                "publish_every",
                                                "least_gain",
                                                "held_back",
                                                "least_held_back",
                                                "max_pressure_percent",
                                                "confirm",
                                                "use",
                                                "fresh"}));
  TrainingStart start;
  start.request = body;
  start.request.erase("fresh");
  FT_TRY_STATUS(read_background(fields, start));
  FT_TRY_STATUS(read_training(fields, body, start.background.training));
  if (start.background.name.empty() ||
      start.background.training.total_steps == 0)
    return usage_error("training needs the fields 'adapter' and 'total_steps'");
  return start;
}

Reply without_fields(Parts& parts, const Input& body,
                     Reply (TrainingDesk::*act)()) {
  FT_TRY_STATUS(Fields::of(body, {}).status());
  return ((*parts.desk).*act)();
}

}  // namespace

Reply start_training(Parts& parts, const Input& body) {
  FT_TRY(TrainingStart start, read_start(body));
  return parts.desk->start(std::move(start));
}

void go_on_training(Parts& parts) {
  const std::string& work = parts.options.work;
  const auto go_on = [&]() -> Status {
    FT_TRY(const auto record, load_record(work));
    if (!record) return ok_status();
    FT_TRY(TrainingStart start, read_start(record->request));
    start.resumed = true;
    start.paused = record->paused;
    const Reply reply = parts.desk->start(std::move(start));
    if (reply.status == 200) return ok_status();
    FT_TRY(const Input told, parse_object(reply.body));
    return invalid_input(told.value("error", ""));
  };
  const Status status = go_on();
  if (!status.ok())
    parts.desk->tell("the training before the restart does not go on: " +
                     status.message());
}

Reply pause_training(Parts& parts, const Input& body) {
  return without_fields(parts, body, &TrainingDesk::pause);
}

Reply resume_training(Parts& parts, const Input& body) {
  return without_fields(parts, body, &TrainingDesk::resume);
}

Reply stop_training(Parts& parts, const Input& body) {
  return without_fields(parts, body, &TrainingDesk::end);
}

Reply training_now(Parts& parts, const Input&) {
  return fields_of(parts.desk->now());
}

}  // namespace ft::service
