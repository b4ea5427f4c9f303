// What the service says about itself.
#include <unistd.h>

#include "service/page.h"
#include "service/parts.h"

namespace ft::service {
namespace {

double seconds_since(std::chrono::steady_clock::time_point then) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - then)
      .count();
}

Json limit_or_null(size_t bytes) {
  return bytes == SIZE_MAX ? Json() : Json(bytes);
}

Json memory_fields(const fieldtune::RuntimeStats& s) {
  return {{"adapter_bytes", s.adapter_bytes},
          {"budget_bytes", limit_or_null(s.budget_bytes)},
          {"cached_bytes", s.cached_bytes},
          {"base_file_bytes", s.base_file_bytes},
          {"derived_bytes", s.derived_bytes},
          {"session_bytes", s.session_bytes},
          {"resident_bytes", resident_bytes()}};
}

Json cache_fields(const fieldtune::RuntimeStats& s) {
  return {{"registered", s.registered},
          {"in_memory", s.cached},
          {"kept", s.pinned},
          {"hits", s.hits},
          {"misses", s.misses},
          {"evictions", s.evictions},
          {"failed_loads", s.failed_loads},
          {"swaps", s.swaps}};
}

Json connection_fields(const ServerLoad& load) {
  Json refused = Json::object();
  for (size_t i = 0; i < ServerLoad::kReasons.size(); ++i)
    refused[ServerLoad::kReasons[i]] = load.refused[i].load();
  return {{"open", load.connections.load()},
          {"held_bytes", load.held_bytes.load()},
          {"refused", refused}};
}

Json answer_fields(const AnswerCounts& counts) {
  Json list = Json::array();
  for (const auto& [key, count] : counts.counts())
    list.push_back({{"adapter", name_or_null(key.first)},
                    {"version", version_or_null(key.second)},
                    {"answers", count.answers},
                    {"right", count.right},
                    {"wrong", count.wrong}});
  return list;
}

void write_runtime(PrometheusText& out, const fieldtune::RuntimeStats& s) {
  const auto counter = [&](const char* name, const char* help, uint64_t value) {
    out.single(name, "counter", help, static_cast<double>(value));
  };
  const auto gauge = [&](const char* name, const char* help, size_t value) {
    out.single(name, "gauge", help, static_cast<double>(value));
  };
  counter("fieldtune_adapter_cache_hits_total",
          "Adapters that were in memory when they were asked for.", s.hits);
  counter("fieldtune_adapter_cache_misses_total",
          "Adapters that had to be loaded.", s.misses);
  counter("fieldtune_adapter_cache_evictions_total",
          "Adapters that others took the place of.", s.evictions);
  counter("fieldtune_adapter_failed_loads_total",
          "Adapters that could not be loaded.", s.failed_loads);
  counter("fieldtune_adapter_swaps_total", "Changes of the active adapter.",
          s.swaps);
  gauge("fieldtune_adapter_bytes", "Bytes held of the adapters' budget.",
        s.adapter_bytes);
  if (s.budget_bytes != SIZE_MAX)
    gauge("fieldtune_adapter_budget_bytes", "The adapters' budget.",
          s.budget_bytes);
  gauge("fieldtune_adapters_in_memory", "Adapters in memory.", s.cached);
  gauge("fieldtune_base_file_bytes", "Bytes of the mapped base model.",
        s.base_file_bytes);
  gauge("fieldtune_session_bytes", "Bytes of the sessions' arenas.",
        s.session_bytes);
  gauge("process_resident_memory_bytes", "Resident memory of the process.",
        resident_bytes());
}

void write_connections(PrometheusText& out, const ServerLoad& load) {
  out.single("fieldtune_http_connections", "gauge",
             "Connections that are open.",
             static_cast<double>(load.connections));
  out.single("fieldtune_http_held_bytes", "gauge",
             "Bytes of requests that are not answered, and of answers that "
             "clients have not taken.",
             static_cast<double>(load.held_bytes));
  out.family("fieldtune_http_refused_connections_total", "counter",
             "Connections that were ended before an answer, by reason.");
  for (size_t i = 0; i < ServerLoad::kReasons.size(); ++i)
    out.sample({{"reason", ServerLoad::kReasons[i]}},
               static_cast<double>(load.refused[i]));
}

void write_training(PrometheusText& out, const TrainingNow& now) {
  const auto& p = now.progress;
  out.single("fieldtune_training_running", "gauge",
             "1 where a background training runs.", now.running ? 1 : 0);
  out.single("fieldtune_training_resumed", "gauge",
             "1 where it was gone on with after a restart.",
             now.resumed ? 1 : 0);
  out.single("fieldtune_training_problem", "gauge",
             "1 where something kept a training or a version of it back; "
             "/v1/train says what.",
             now.problem.empty() ? 0 : 1);
  if (now.adapter.empty()) return;
  const auto of = [&](const char* name, const char* type, const char* help,
                      double value) {
    out.family(name, type, help);
    out.sample({{"adapter", now.adapter}}, value);
  };
  // Gauges: another training begins anew.
  of("fieldtune_training_steps", "gauge", "Steps of the training so far.",
     static_cast<double>(p.steps));
  of("fieldtune_training_saved_steps", "gauge",
     "Those that a kill cannot take.", static_cast<double>(p.saved_steps));
  of("fieldtune_training_samples", "gauge", "Samples that it has.",
     static_cast<double>(p.samples));
  of("fieldtune_training_kept_samples", "gauge", "Those that are on disk.",
     static_cast<double>(now.kept_samples));
  of("fieldtune_training_loss", "gauge", "Loss of its last step.", p.loss);
  of("fieldtune_training_published", "gauge", "Versions that it published.",
     p.versions);
  of("fieldtune_training_refused", "gauge",
     "Versions that its accuracy guard kept back.", p.refused);
  of("fieldtune_training_serving_accuracy", "gauge",
     "Share of right answers to samples held back, of what serves.",
     p.serving_accuracy);
}

}  // namespace

Reply health(Parts&, const Input&) { return Json{{"status", "ok"}}; }

Reply page(Parts&, const Input&) {
  return {std::string(page_html()), "text/html; charset=utf-8"};
}

Reply status(Parts& parts, const Input&) {
  const auto stats = parts.runtime.stats();
  const Chosen active = parts.book->active();
  const ServiceOptions& o = parts.options;
  Json fields{{"service", "fieldtune"},
              {"pid", ::getpid()},
              {"uptime_seconds", seconds_since(parts.began)},
              {"model", o.model},
              {"adapter_mode", o.adapter_mode},
              {"features", parts.features},
              {"answers", parts.answers},
              {"store", name_or_null(o.store)},
              {"folder", name_or_null(o.adapters)},
              {"active", name_or_null(active.name)},
              {"active_version", version_or_null(active.version)},
              {"requests", parts.route_metrics->requests()},
              {"failed_requests", parts.route_metrics->errors()},
              {"memory", memory_fields(stats)},
              {"adapters", cache_fields(stats)},
              {"reload_problem", parts.book->problem()},
              {"use_marks_problem", parts.use_marks.problem()},
              {"answers_by_adapter", answer_fields(parts.answer_counts)},
              {"experiments", experiment_fields(parts)},
              {"training", fields_of(parts.desk->now())}};
  if (o.load) fields["connections"] = connection_fields(*o.load);
  return fields;
}

Reply metrics(Parts& parts, const Input&) {
  PrometheusText out;
  out.single("fieldtune_uptime_seconds", "gauge", "Since the service began.",
             seconds_since(parts.began));
  parts.route_metrics->write(out);
  if (parts.options.load) write_connections(out, *parts.options.load);
  parts.answer_counts.write(out);
  write_runtime(out, parts.runtime.stats());
  write_training(out, parts.desk->now());
  write_experiments(parts, out);
  return {out.text(), kMetricsType};
}

}  // namespace ft::service
