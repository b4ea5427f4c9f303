// What the routes of a service share. See service.h for the contract.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "fieldtune/experiment.h"
#include "service/adapter_book.h"
#include "service/answer_log.h"
#include "service/class_names.h"
#include "service/json_fields.h"
#include "service/metrics.h"
#include "service/service.h"
#include "service/training_desk.h"
#include "service/use_marks.h"

namespace ft::service {

struct Parts {
  Parts(const ServiceOptions& o, fieldtune::Runtime r)
      : options(o), runtime(std::move(r)) {}

  const ServiceOptions options;
  fieldtune::Runtime runtime;
  size_t features = 0, answers = 0;  // of one sample
  // Of models that read tokens: each lies below; 0: features are real numbers.
  int64_t tokens = 0;
  std::unique_ptr<AdapterBook> book;
  std::optional<TrainingDesk> desk;
  ClassNames class_names;
  // Of a store that may be written to; where it may not, why.
  std::optional<fieldtune::LiveExperiments> live;
  std::string live_problem;
  AnswerCounts answer_counts;
  UseMarks use_marks;
  AnswerLog answer_log{65536};
  std::unique_ptr<RouteMetrics> route_metrics;
  const std::chrono::steady_clock::time_point began =
      std::chrono::steady_clock::now();
};

// Each takes the body's object; those of GET an empty one.
using RouteFunction = Reply (*)(Parts& parts, const Input& body);

Reply predict(Parts& parts, const Input& body);
Reply feedback(Parts& parts, const Input& body);
Reply list_experiments(Parts& parts, const Input& body);
Reply list_adapters(Parts& parts, const Input& body);
Reply load_adapter(Parts& parts, const Input& body);
Reply unload_adapter(Parts& parts, const Input& body);
Reply use_adapter(Parts& parts, const Input& body);
Reply rollback_adapter(Parts& parts, const Input& body);
Reply reload_adapters(Parts& parts, const Input& body);
Reply add_samples(Parts& parts, const Input& body);
Reply list_samples(Parts& parts, const Input& body);
Reply delete_samples(Parts& parts, const Input& body);
Reply start_training(Parts& parts, const Input& body);
// Starts again what ran when the service before this one ended; why it cannot
// shows in /v1/train. May take a while.
void go_on_training(Parts& parts);
Reply pause_training(Parts& parts, const Input& body);
Reply resume_training(Parts& parts, const Input& body);
Reply stop_training(Parts& parts, const Input& body);
Reply training_now(Parts& parts, const Input& body);
Reply status(Parts& parts, const Input& body);
Reply health(Parts& parts, const Input& body);
Reply metrics(Parts& parts, const Input& body);
Reply page(Parts& parts, const Input& body);

// Those that run, with what is counted so far.
Json experiment_fields(Parts& parts);
void write_experiments(Parts& parts, PrometheusText& out);

// As JSON has them: an adapter's name or null, a version or null.
Json name_or_null(const std::string& name);
Json version_or_null(int64_t version);

}  // namespace ft::service
