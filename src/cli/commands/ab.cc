// fieldtune ab: two versions of an adapter, compared on live requests.
#include <fmt/format.h>

#include <charconv>

#include "base/file.h"
#include "cli/ab_fields.h"
#include "cli/ab_run_job.h"
#include "cli/commands/commands.h"
#include "cli/policy_option.h"
#include "cli/store_options.h"
#include "cli/whole_number.h"

namespace ft::cli {
namespace {

using fieldtune::Arm;
using fieldtune::Experiment;
using fieldtune::ExperimentEnd;
using fieldtune::Experiments;
using fieldtune::ExperimentStart;
using fieldtune::Outcome;
using fieldtune::Tally;

struct OfName : StoreOptions {
  std::string name;

  void add_to(CLI::App& app) {
    StoreOptions::add_to(app);
    app.add_option("name", name, "NAME of the adapter")->required();
  }
};

struct Start : StoreOptions {
  std::string spec, control = "confirmed", interval = "every-look";
  ExperimentStart start;

  void add_to(CLI::App& app) {
    StoreOptions::add_to(app);
    app.add_option("adapter", spec,
                   "NAME@VERSION of the treatment, on trial or staged; NAME: "
                   "the one on trial, else the highest staged one")
        ->required();
    app.add_option("--control", control,
                   "confirmed (where there is none: base), base, or the "
                   "confirmed version's number")
        ->capture_default_str();
    app.add_option("--share", start.share,
                   "of keys for the treatment, above 0 and below 1")
        ->capture_default_str();
    app.add_option("--salt", start.salt,
                   "another one splits keys anew (default: the store's count "
                   "of changes)");
    app.add_option("--promote-if", start.rules.promote_if,
                   "e.g. 'accuracy >= control + 0.5' (percentage points), "
                   "'latency_ms <= control * 1.1 and clicks > 3'");
    app.add_option("--rollback-if", start.rules.rollback_if,
                   "goes before --promote-if");
    app.add_option("--least", start.rules.least,
                   "values of a rule's metrics that each arm needs before it "
                   "says anything")
        ->check(whole_number(int64_t{0}, INT64_MAX))
        ->capture_default_str();
    app.add_option("--interval", interval,
                   "rules must hold at the worse end of the interval of the "
                   "difference: every-look (right however often the rules "
                   "are asked), one-look (right for one look at counts that "
                   "were fixed beforehand), or none (what was measured is "
                   "compared as it is)")
        ->capture_default_str();
    app.add_option("--confidence", start.rules.confidence,
                   "of the interval, above 0 and below 1")
        ->capture_default_str();
    app.add_option("--target", start.rules.target,
                   "values in each arm at which the interval of every-look is "
                   "narrowest for their count; too few costs less than too "
                   "many")
        ->check(whole_number(int64_t{0}, INT64_MAX))
        ->capture_default_str();
  }
};

Result<int64_t> parse_control(const std::string& text) {
  if (text == "confirmed") return ExperimentStart::kConfirmedOrBase;
  if (text == "base") return int64_t{0};
  int64_t version = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, version);
  if (error == std::errc() && stop == end && version > 0) return version;
  return usage_error("--control '" + text +
                     "' is not confirmed, base or a version");
}

Status run_start(const Start& options) {
  ExperimentStart start = options.start;
  FT_TRY(const VersionSpec spec, parse_spec(options.spec));
  start.name = spec.name;
  start.treatment = spec.version;
  FT_TRY(start.control, parse_control(options.control));
  FT_TRY(start.rules.interval,
         fieldtune::parse_rule_interval(options.interval));
  FT_TRY(auto store, options.open(false));
  FT_TRY(const Experiment e, Experiments(store).start(start));
  print_result(experiment_fields(e), options.json);
  return ok_status();
}

struct AbStatus : StoreOptions {
  std::string name;

  void add_to(CLI::App& app) {
    StoreOptions::add_to(app);
    app.add_option("name", name,
                   "NAME of an adapter: its experiment that runs, or the last "
                   "one (default: a list of all)");
  }
};

Status run_status(const AbStatus& options) {
  FT_TRY(auto store, options.open(true));
  if (!options.name.empty()) {
    FT_TRY(const auto report, Experiments(store).report(options.name));
    print_result(report_fields(report, options.json), options.json);
    return ok_status();
  }
  FT_TRY(const auto all, Experiments(store).list());
  Json list = Json::array();
  for (const Experiment& e : all) {
    Json fields = experiment_fields(e);
    for (const char* rest : {"salt", "promote_if", "rollback_if", "least",
                             "interval", "confidence", "target", "reason"})
      if (!options.json) fields.erase(rest);
    list.push_back(std::move(fields));
  }
  print_result({{"store", options.folder}, {"experiments", list}},
               options.json);
  return ok_status();
}

struct ArmOf : OfName {
  std::string key;

  void add_to(CLI::App& app) {
    OfName::add_to(app);
    app.add_option("key", key, "of the request: a user, a room, a device")
        ->required();
  }
};

Status run_arm(const ArmOf& options) {
  FT_TRY(auto store, options.open(true));
  FT_TRY(const Experiment e, Experiments(store).running(options.name));
  const Arm arm = e.arm_of(options.key);
  print_result({{"name", e.name},
                {"key", options.key},
                {"arm", name_of(arm)},
                {"version", e.version_of(arm)},
                {"adapter", e.adapter_of(arm)}},
               options.json);
  return ok_status();
}

struct Record : OfName {
  std::string key, arm, from;
  int64_t requests = 1;
  bool right = false, wrong = false;
  std::optional<double> latency_ms;
  std::vector<std::string> metrics;

  void add_to(CLI::App& app) {
    OfName::add_to(app);
    app.add_option("--key", key, "of the request: decides its arm");
    app.add_option("--arm", arm, "instead of --key: control or treatment")
        ->check(CLI::IsMember({"control", "treatment"}));
    app.add_option("--requests", requests,
                   "that this tells of; 0: feedback on one that was counted")
        ->check(whole_number(int64_t{0}, INT64_MAX))
        ->capture_default_str();
    app.add_flag("--right", right, "the answer was right");
    app.add_flag("--wrong", wrong, "the answer was wrong");
    app.add_option("--latency-ms", latency_ms, "how long it took");
    app.add_option("--metric", metrics, "NAME=VALUE, several times");
    app.add_option("--from", from,
                   "file of one JSON object a line instead: {\"key\": ..., "
                   "\"right\": true, \"latency_ms\": 2.5, \"requests\": 1, "
                   "\"metrics\": {...}}");
  }
};

Result<Arm> parse_arm(const Experiment& e, const std::string& key,
                      const std::string& arm) {
  if (key.empty() == arm.empty())
    return usage_error("an outcome has either a key or an arm");
  if (arm.empty()) return e.arm_of(key);
  for (const Arm known : fieldtune::kArms)
    if (arm == name_of(known)) return known;
  return usage_error("'" + arm + "' is not control or treatment");
}

Result<Outcome> outcome_of(const Record& options) {
  if (options.right && options.wrong)
    return usage_error("--right and --wrong exclude each other");
  Outcome outcome{.requests = options.requests,
                  .latency_ms = options.latency_ms};
  if (options.right || options.wrong) outcome.right = options.right;
  for (const std::string& text : options.metrics) {
    const size_t at = text.find('=');
    double value = 0;
    const char* end = text.data() + text.size();
    if (at != std::string::npos) {
      const auto [stop, error] =
          std::from_chars(text.data() + at + 1, end, value);
      if (error == std::errc() && stop == end) {
        outcome.metrics[text.substr(0, at)] = value;
        continue;
      }
    }
    return usage_error("--metric '" + text + "' is not NAME=VALUE");
  }
  return outcome;
}

using Tallies = std::array<Tally, 2>;

// One line of --from.
Status add_line(const std::string& line, const Experiment& e,
                Tallies& tallies) {
  const Json object = Json::parse(line, nullptr, false);
  if (!object.is_object()) return invalid_input("it is not a JSON object");
  Outcome outcome{.requests = 1};
  std::string key, arm;
  for (const auto& [name, value] : object.items()) {
    if (name == "key" && value.is_string())
      key = value.get<std::string>();
    else if (name == "arm" && value.is_string())
      arm = value.get<std::string>();
    else if (name == "right" && value.is_boolean())
      outcome.right = value.get<bool>();
    else if (name == "latency_ms" && value.is_number())
      outcome.latency_ms = value.get<double>();
    else if (name == "requests" && value.is_number_integer())
      outcome.requests = value.get<int64_t>();
    else if (name == "metrics" && value.is_object())
      for (const auto& [metric, number] : value.items()) {
        if (!number.is_number())
          return invalid_input("metric '" + metric + "' is not a number");
        outcome.metrics[metric] = number.get<double>();
      }
    else
      return invalid_input("field '" + name +
                           "' is unknown, or not of its type");
  }
  FT_TRY(const Arm chosen, parse_arm(e, key, arm));
  return tallies[static_cast<size_t>(chosen)].add(outcome);
}

Status add_lines(const std::string& path, const Experiment& e,
                 Tallies& tallies) {
  FT_TRY(const std::string text, read_text_file(path));
  size_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    ++number;
    if (end > at) {
      const Status status = add_line(text.substr(at, end - at), e, tallies);
      if (!status.ok())
        return invalid_input(
            fmt::format("'{}', line {}: {}", path, number, status.message()));
    }
    at = end + 1;
  }
  return ok_status();
}

Status run_record(const Record& options) {
  FT_TRY(auto store, options.open(false));
  Experiments experiments(store);
  FT_TRY(const Experiment e, experiments.running(options.name));
  Tallies tallies;
  if (!options.from.empty()) {
    if (!options.key.empty() || !options.arm.empty())
      return usage_error("--from says keys and arms itself");
    FT_TRY_STATUS(add_lines(options.from, e, tallies));
  } else {
    FT_TRY(const Outcome outcome, outcome_of(options));
    FT_TRY(const Arm arm, parse_arm(e, options.key, options.arm));
    FT_TRY_STATUS(tallies[static_cast<size_t>(arm)].add(outcome));
  }
  std::vector<fieldtune::Recorded> batch;
  for (const Arm arm : fieldtune::kArms)
    if (!tallies[static_cast<size_t>(arm)].empty())
      batch.push_back({e.id, arm, tallies[static_cast<size_t>(arm)]});
  FT_TRY_STATUS(experiments.record(batch).status());
  FT_TRY(const auto report, experiments.report(options.name));
  print_result(report_fields(report, options.json), options.json);
  return ok_status();
}

struct Decide : OfName {};

Status run_decide(const Decide& options) {
  FT_TRY(auto store, options.open(false));
  FT_TRY(const auto report, Experiments(store).decide(options.name));
  print_result(report_fields(report, options.json), options.json);
  return ok_status();
}

struct Stop : OfName {
  bool promote = false, rollback = false;
  std::string reason;

  void add_to(CLI::App& app) {
    OfName::add_to(app);
    app.add_flag("--promote", promote, "confirm the treatment");
    app.add_flag("--rollback", rollback, "retire it");
    app.add_option("--reason", reason, "a sentence to remember");
  }
};

Status run_stop(const Stop& options) {
  if (options.promote && options.rollback)
    return usage_error("--promote and --rollback exclude each other");
  const ExperimentEnd end = options.promote    ? ExperimentEnd::kPromote
                            : options.rollback ? ExperimentEnd::kRollback
                                               : ExperimentEnd::kLeaveSlots;
  FT_TRY(auto store, options.open(false));
  FT_TRY(const auto report,
         Experiments(store).stop(options.name, end, options.reason));
  print_result(report_fields(report, options.json), options.json);
  return ok_status();
}

struct Run : OfName {
  std::string model;
  DataFlags data;
  PolicyOption policy;
  bool decide = false;

  void add_to(CLI::App& app) {
    OfName::add_to(app);
    app.add_option("--model", model, "base model of the adapters")->required();
    data.add_source_to(app);
    policy.add_to(app);
    app.add_flag("--decide", decide, "act by the rules afterwards");
  }
};

Status run_run(const Run& options) {
  FT_TRY(const auto report, run_ab({.store = options.folder,
                                    .name = options.name,
                                    .model = options.model,
                                    .policy = options.policy.path,
                                    .key = options.key,
                                    .busy_ms = options.busy_ms,
                                    .data = options.data,
                                    .decide = options.decide}));
  print_result(report_fields(report, options.json), options.json);
  return ok_status();
}

}  // namespace

void add_ab(CLI::App& app, Action& action) {
  CLI::App* ab = app.add_subcommand(
      "ab",
      "Compare two versions of an adapter on live requests; promote one "
      "or roll it back by rule");
  ab->require_subcommand(1);
  ab->footer(
      "Example:\n"
      "  fieldtune ab start adapters me@2 --share 0.2 --promote-if 'accuracy "
      ">= control + 0.5' --rollback-if 'accuracy < control - 1'\n"
      "  fieldtune ab run adapters me --model kws.tflite --data recordings\n"
      "  fieldtune ab decide adapters me");
  add_command<Start>(*ab, action, "start",
                     "Begin to compare a version on trial or staged with the "
                     "confirmed one, or with the base alone",
                     "fieldtune ab start adapters me@2 --share 0.2 "
                     "--promote-if 'accuracy >= control + 0.5' --rollback-if "
                     "'accuracy < control - 1' --target 2000",
                     run_start);
  add_command<AbStatus>(*ab, action, "status",
                        "Show both arms and what the rules say; changes "
                        "nothing",
                        "fieldtune ab status adapters me", run_status);
  add_command<ArmOf>(*ab, action, "arm", "Show which arm a key has",
                     "fieldtune ab arm adapters me user17", run_arm);
  add_command<Record>(*ab, action, "record",
                      "Count what came of a request, or of a file of them",
                      "fieldtune ab record adapters me --key user17 --right "
                      "--latency-ms 2.5\n  fieldtune ab record adapters me "
                      "--from outcomes.jsonl",
                      run_record);
  add_command<Decide>(*ab, action, "decide",
                      "Promote or roll back, if a rule says so",
                      "fieldtune ab decide adapters me", run_decide);
  add_command<Stop>(*ab, action, "stop",
                    "End it whatever the rules say; slots stay as they are "
                    "without --promote or --rollback",
                    "fieldtune ab stop adapters me --rollback --reason 'users "
                    "complained'",
                    run_stop);
  add_command<Run>(*ab, action, "run",
                   "Play labelled data through both arms, each sample by its "
                   "name as a request of its own",
                   "fieldtune ab run adapters me --model kws.tflite --data "
                   "recordings --decide",
                   run_run);
}

}  // namespace ft::cli
