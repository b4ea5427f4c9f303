#include "cli/search_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/file.h"
#include "cli/energy_options.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/search_report.h"
#include "search/search.h"
#include "train/trainer.h"

namespace ft::cli {
namespace {

// One progress line after another, as the search goes from stage to stage.
class Stages {
 public:
  Stages(double minutes, bool quiet) : quiet_(quiet) {
    if (minutes > 0)
      deadline_ =
          Clock::now() + std::chrono::duration_cast<Clock::duration>(
                             std::chrono::duration<double>(60 * minutes));
  }

  bool update(const char* stage, int64_t done, int64_t total,
              const std::string& detail) {
    if (line_ == nullptr || stage != stage_) {
      line_.reset();
      line_ = std::make_unique<ProgressLine>(stage, total, quiet_);
      stage_ = stage;
    }
    line_->update(done, detail);
    const bool training = stage_ == "training";
    out_of_time_ = training && deadline_ && Clock::now() > *deadline_;
    return !interrupted() && !out_of_time_;
  }
  bool out_of_time() const { return out_of_time_; }

 private:
  using Clock = std::chrono::steady_clock;

  bool quiet_, out_of_time_ = false;
  std::string stage_;
  std::unique_ptr<ProgressLine> line_;
  std::optional<Clock::time_point> deadline_;
};

// A limit of the user's, which may not be more than the target has.
Result<size_t> limit_of(const std::string& given, const char* option,
                        const std::optional<Target>& target,
                        std::string_view region) {
  const uint64_t has = target ? target->memory_bytes(region) : 0;
  const size_t most = has > 0 ? static_cast<size_t>(has) : SIZE_MAX;
  if (given.empty()) return most;
  FT_TRY(const size_t bytes, parse_bytes(given));
  if (bytes <= most) return bytes;
  return usage_error(
      fmt::format("{} {}: the target has {} bytes", option, given, most));
}

class Job {
 public:
  explicit Job(const SearchJob& job)
      : job_(job), stages_(job.minutes, job.quiet) {}

  Result<SearchOutcome> run() {
    if (!job_.out.empty()) FT_TRY_STATUS(check_writable(job_.out));
    if (!job_.target.empty()) {
      FT_TRY(target_, load_target(job_.target));
    }
    FT_TRY_STATUS(load());
    FT_TRY(SearchSettings settings, settings_of());
    const Task task =
        loss_ == Loss::kMse ? Task::kRegression : Task::kClassification;
    const MaskSamples samples{data_->samples, to_indices(data_->split.train),
                              task};
    SearchedModel model({.path = job_.model,
                         .seq_len = job_.seq_len,
                         .loss = loss_,
                         .seed = job_.seed});
    FT_TRY(const SearchResult result,
           search_plans(model, target_, samples, settings));
    return finish(result);
  }

 private:
  int num_classes() const {
    return job_.new_head ? static_cast<int>(data_->set.classes.size()) : 0;
  }

  Status load() {
    if (job_.data.path.empty() && job_.data.text.empty())
      return usage_error("--search needs --data (or --text) to try plans on");
    FT_TRY(const BaseModel base,
           load_base(job_.model, Precision::kMixed, 1, job_.seq_len));
    base_sha256_ = base.sha256;
    int8_ = false;
    for (ValueId v = 0; v < base.graph.num_values(); ++v)
      int8_ = int8_ || (base.graph.value(v).kind == ValueKind::kConstant &&
                        base.graph.value(v).type.dtype == DType::kS8);
    const TextReader reader(base);
    FT_TRY(data_,
           load_training_data(job_.data, job_.seed,
                              job_.data.text.empty() ? nullptr : &reader));
    if (job_.new_head && num_classes() == 0)
      return usage_error("--new-head needs data with classes");
    if (data_->split.train.size() < 8)
      return invalid_input(fmt::format(
          "{} training samples are too few to search with: at least 8",
          data_->split.train.size()));
    MethodSettings method;
    method.num_classes = num_classes();
    FT_TRY(loss_, loss_for(job_.loss, base.graph, method));
    return ok_status();
  }

  Result<SearchSettings> settings_of() {
    SearchSettings s;
    FT_TRY(s.limits.ram_bytes, limit_of(job_.ram, "--ram", target_, "ram"));
    FT_TRY(s.limits.flash_bytes,
           limit_of(job_.flash, "--flash", target_, "flash"));
    s.limits.step_ms = job_.step_ms;
    FT_TRY(s.limits.update_mj, energy_limit());
    FT_TRY_STATUS(fill_space(s.space));
    if (!job_.rates.empty()) s.rates = job_.rates;
    s.finalists = job_.finalists;
    s.rounds = job_.rounds;
    s.minutes = job_.minutes;
    s.progress = [this](const char* stage, int64_t done, int64_t total,
                        const std::string& detail) {
      return stages_.update(stage, done, total, detail);
    };
    return s;
  }

  // Of an update: a day must have the energy of one.
  Result<double> energy_limit() const {
    const bool costs = target_ && target_->costs;
    if (!costs && job_.step_ms > 0)
      return usage_error("--step-ms needs a --target that states its costs");
    const double update = job_.energy_mj, day = job_.energy_mj_per_day;
    if (update == 0 && day == 0) return 0.0;
    FT_TRY_STATUS(
        check_states_energy(target_, "--energy-mj and --energy-mj-per-day"));
    if (day > 0 && update > day)
      return usage_error(
          fmt::format("--energy-mj {:g}: an update may not take more than the "
                      "--energy-mj-per-day {:g} of a day",
                      update, day));
    return update > 0 ? update : day;
  }

  Status fill_space(CandidateSpace& space) const {
    space.methods = job_.methods;
    if (space.methods.empty()) {
      space.methods = {"lora", "lora-fa", "bitfit", "ia3", "sparse"};
      if (job_.new_head) space.methods.emplace_back("head");
    }
    for (const std::string& m : space.methods)
      FT_TRY_STATUS(find_method(m).status());
    for (const std::string& word : job_.precisions) {
      FT_TRY(const Precision p, parse_precision(word));
      space.precisions.push_back(p);
    }
    if (job_.precisions.empty()) {
      if (int8_) space.precisions.push_back(Precision::kInteger);
      const bool soft_float = target_ && !target_->has_fpu;
      if (!int8_ || !soft_float) space.precisions.push_back(Precision::kMixed);
    }
    space.optimizers = job_.optimizers;
    if (space.optimizers.empty()) space.optimizers = {"adamw", "sgd"};
    if (target_) space.rank_tile = std::max(1, target_->tile.rank);
    space.common.base_sha256 = base_sha256_;
    space.common.target = job_.target;
    space.common.num_classes = num_classes();
    space.common.epochs = job_.epochs;
    if (!job_.ram.empty()) {
      FT_TRY(space.common.ram_bytes, parse_bytes(job_.ram));
    }
    return ok_status();
  }

  bool limited() const {
    return !job_.ram.empty() || !job_.flash.empty() || job_.step_ms > 0 ||
           job_.energy_mj > 0 || job_.energy_mj_per_day > 0;
  }

  void predict(SearchedPlan& p) const {
    auto& predicted = p.plan.predicted;
    predicted["ram_bytes"] = static_cast<double>(p.costs.ram_bytes);
    predicted["flash_bytes"] = static_cast<double>(p.costs.flash_bytes);
    if (target_ && target_->costs) {
      predicted["step_ms"] = p.costs.step_ms;
      predicted["step_mj"] = p.costs.step_mj;
    }
    const bool classes = loss_ != Loss::kMse;
    predicted[classes ? "accuracy" : "mse"] = std::abs(p.result.quality);
  }

  int64_t updates_of_epoch(const TrainingPlan& plan) const {
    return count_updates(data_->split.train.size(), 1, plan.accumulate, 1);
  }

  // Those that were searched are within a day's energy; time may refuse.
  Status schedule(SearchedPlan& p) const {
    if (job_.energy_mj_per_day == 0) return ok_status();
    const auto runs = static_cast<double>(p.plan.accumulate);
    FT_TRY(
        p.plan.schedule,
        energy_schedule(
            {.mj = runs * p.costs.step_mj, .ms = runs * p.costs.step_ms},
            job_.energy_mj_per_day, updates_of_epoch(p.plan), p.plan.epochs));
    return ok_status();
  }

  Json fields_of(SearchedPlan p) const {
    predict(p);
    Json json = {{"plan", p.plan.describe()},
                 {"method", p.plan.method},
                 {"layers", p.plan.layers.size()},
                 {"precision", name_of(p.plan.precision)},
                 {"optimizer", p.plan.optimizer},
                 {"lr", p.plan.lr}};
    for (const auto& [key, value] : p.plan.predicted)
      json[key] = key.ends_with("_bytes") ? Json(static_cast<size_t>(value))
                                          : Json(value);
    return json;
  }

  Result<SearchOutcome> finish(const SearchResult& result) {
    if (interrupted()) return io_error("interrupted; no plan was chosen");
    if (stages_.out_of_time())
      warn("--budget-minutes ran out; the best of what was tried so far");
    const size_t at = limited() ? 0 : result.knee;
    SearchedPlan chosen = result.trained[at];
    FT_TRY_STATUS(schedule(chosen));
    Json json = fields_of(chosen);
    if (chosen.plan.schedule)
      add_schedule_fields(*chosen.plan.schedule, updates_of_epoch(chosen.plan),
                          json);
    json["candidates"] = result.candidates;
    json["priced"] = result.priced;
    json["impossible"] = result.impossible.plans;
    if (result.impossible.plans > 0)
      warn(fmt::format(
          "{} of {} plans are not possible here, the first of "
          "them: {}",
          result.impossible.plans, result.candidates, result.impossible.first));
    json["trained"] = result.trained.size();
    json["front"] = Json::array();
    for (const size_t i : result.front)
      json["front"].push_back(fields_of(result.trained[i]));
    predict(chosen);
    if (!job_.out.empty()) {
      FT_TRY_STATUS(write_file_atomically(job_.out, to_toml(chosen.plan)));
      json["plan_file"] = job_.out;
    }
    return SearchOutcome{
        std::move(json),
        search_report(job_.model, result, at, target_, loss_ != Loss::kMse)};
  }

  const SearchJob& job_;
  Stages stages_;
  std::optional<Target> target_;
  std::unique_ptr<LoadedData> data_;
  std::string base_sha256_;
  bool int8_ = false;
  Loss loss_ = Loss::kSoftmaxCrossEntropy;
};

}  // namespace

void SearchJob::add_to(CLI::App& app, const std::vector<std::string>& shared) {
  std::vector<CLI::Option*> others = app.get_options();
  CLI::Option* on = app.add_flag(
      "--search", search,
      "choose method, layers, ranks, precision, optimizer and rate for your "
      "data");
  for (CLI::Option* option : others) {
    const bool keep =
        option->get_positional() || option == app.get_help_ptr() ||
        std::ranges::find(shared, option->get_name()) != shared.end();
    if (!keep) option->excludes(on);
  }
  data.add_source_to(app);
  data.add_split_to(app);
  std::vector<CLI::Option*> own = {
      app.add_option("--flash", flash, "with --search: flash for weights"),
      app.add_option("--step-ms", step_ms,
                     "with --search: longest run of the step, by the target's "
                     "costs"),
      app.add_option("--energy-mj", energy_mj,
                     "with --search: most energy of an update"),
      app.add_option("--methods", methods, "with --search: methods to look at")
          ->delimiter(','),
      app.add_option("--precisions", precisions,
                     "with --search: precisions to look at")
          ->delimiter(','),
      app.add_option("--optimizers", optimizers,
                     "with --search: optimizers to look at (default: adamw, "
                     "sgd)")
          ->delimiter(','),
      app.add_option("--rates", rates,
                     "with --search: learning rates to try (default: 0.001, "
                     "0.003, 0.01)")
          ->delimiter(','),
      app.add_option("--finalists", finalists,
                     "with --search: plans that are trained, with each rate "
                     "(default: 24, or all that fit where that takes seconds)")
          ->check(CLI::PositiveNumber),
      app.add_option("--rounds", rounds,
                     "with --search: rounds of halving, each with twice the "
                     "epochs; 1: all finalists are trained in full (default: "
                     "3, or 1 where all that fit are trained)")
          ->check(CLI::Range(1, 6)),
      app.add_option("--budget-minutes", minutes,
                     "with --search: bound of its time (0: none)")
          ->check(CLI::NonNegativeNumber),
      app.add_option("--seed", seed, "with --search: of everything random"),
      app.add_option("--out,-o", out,
                     "with --search: plan file to write "
                     "(.toml), for train and compile --plan")};
  for (CLI::Option* option : own) option->needs(on);
}

Result<SearchOutcome> run_search_job(const SearchJob& job) {
  catch_interrupts();
  return Job(job).run();
}

}  // namespace ft::cli
