// Starting, counting and ending experiments; ending one moves the slots in the
// same transaction.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "adapters/store/experiment_index.h"
#include "adapters/store/experiment_rule.h"
#include "adapters/store/experiment_statistics.h"
#include "adapters/store/impl.h"
#include "base/plain_text.h"

namespace fieldtune {

using ft::ok_status;
using ft::usage_error;
using ft::store::ExperimentIndex;

namespace {

constexpr size_t kLongestSalt = 128;
constexpr double kShownConfidence = 0.95;
constexpr int64_t kMostTarget = 1'000'000'000;

bool calls_for_end(const Verdict& verdict) {
  return verdict.says == Verdict::Says::kPromote ||
         verdict.says == Verdict::Says::kRollback;
}

Status check_rule(const std::string& text) {
  return text.empty() ? ok_status() : ft::store::parse_rule(text).status();
}

Status check_start(const ExperimentStart& options) {
  if (!(options.share > 0 && options.share < 1))
    return usage_error(
        fmt::format("a share of {} for the treatment is not above 0 and below "
                    "1",
                    options.share));
  FT_TRY_STATUS(ft::check_plain_text("the salt", options.salt, kLongestSalt));
  if (options.salt.find('|') != std::string::npos)
    return usage_error(
        fmt::format("a salt has no '|', '{}' has", options.salt));
  return check_rules(options.rules);
}

Status not_running(const AdapterStore::Impl& store, const std::string& name) {
  FT_TRY_STATUS(ft::store::check_name(name));
  return usage_error(
      fmt::format("{}: no experiment of '{}' runs", store.where, name));
}

// What must be one transaction, and what it needs.
struct Work {
  AdapterStore::Impl& store;
  ExperimentIndex experiments;

  explicit Work(AdapterStore::Impl& impl)
      : store(impl), experiments(impl.index, impl.where) {}

  Result<Experiment> must_run(const std::string& name) {
    FT_TRY(auto running, experiments.running(name));
    if (!running) return not_running(store, name);
    return std::move(*running);
  }
};

Result<int64_t> choose_control(Work& work, const ExperimentStart& options) {
  auto& store = work.store;
  FT_TRY(const auto confirmed,
         store.index.in_slot(options.name, Slot::kConfirmed));
  if (options.control == ExperimentStart::kConfirmedOrBase)
    return confirmed ? confirmed->version : 0;
  if (options.control == 0) return int64_t{0};
  FT_TRY(const StoredAdapter row,
         store.must_find(options.name, options.control));
  if (row.slot == Slot::kConfirmed) return row.version;
  return usage_error(fmt::format(
      "{}: control is the confirmed version ({}) or the base alone, and {} is "
      "{}",
      store.where, confirmed ? spec_of(*confirmed) : std::string("none"),
      spec_of(row), name_of(row.slot)));
}

Result<StoredAdapter> choose_treatment(Work& work,
                                       const ExperimentStart& options) {
  auto& store = work.store;
  FT_TRY(const auto trial, store.index.in_slot(options.name, Slot::kTrial));
  int64_t version = options.treatment;
  if (version == 0) {
    FT_TRY(const auto staged, store.index.in_slot(options.name, Slot::kStaged));
    if (!trial && !staged)
      return usage_error(
          fmt::format("{}: no version of '{}' is on trial or staged",
                      store.where, options.name));
    version = trial ? trial->version : staged->version;
  }
  FT_TRY(StoredAdapter row, store.must_find(options.name, version));
  if (trial && trial->version != version)
    return usage_error(fmt::format(
        "{}: {} is on trial: end that first, or make it the treatment",
        store.where, spec_of(*trial)));
  return row;
}

// After the arms are known.
Status check_arms(const Work& work, const StoredAdapter& treatment,
                  int64_t control) {
  if (treatment.version == control)
    return usage_error(
        fmt::format("{}: {} cannot be both control and treatment",
                    work.store.where, spec_of(treatment)));
  if (treatment.slot == Slot::kTrial || treatment.slot == Slot::kStaged)
    return {};
  return usage_error(fmt::format(
      "{}: the treatment is a version on trial or staged, and {} is {}; put it "
      "on trial with 'use' first",
      work.store.where, spec_of(treatment), name_of(treatment.slot)));
}

Status check_same_base(Work& work, const StoredAdapter& treatment,
                       int64_t control) {
  if (control == 0) return {};
  FT_TRY(const StoredAdapter other,
         work.store.must_find(treatment.name, control));
  if (other.base_sha256 == treatment.base_sha256) return {};
  return ft::invalid_input(
      fmt::format("{}: {} and {} were made for different base models",
                  work.store.where, spec_of(other), spec_of(treatment)));
}

// The slots after an experiment: its treatment is kept, or is over. The counter
// of a version that was confirmed before stays, as after rollback().
Status move_slots(Work& work, const Experiment& e, ExperimentEnd end,
                  int64_t counter) {
  auto& index = work.store.index;
  if (end == ExperimentEnd::kLeaveSlots) return {};
  FT_TRY(const StoredAdapter treatment,
         work.store.must_find(e.name, e.treatment));
  FT_TRY_STATUS(work.experiments.forget_boots(e.name));
  if (end == ExperimentEnd::kRollback)
    return work.store.move(treatment, Slot::kRetired);
  FT_TRY(const auto before, index.in_slot(e.name, Slot::kConfirmed));
  if (before) FT_TRY_STATUS(work.store.move(*before, Slot::kRetired));
  return index.set_slot(treatment, Slot::kConfirmed, counter);
}

ArmReport report_of(Arm arm, const Experiment& e, const Tally& tally) {
  ArmReport report{.arm = arm,
                   .version = e.version_of(arm),
                   .requests = tally.requests,
                   .latency_p99_ms = tally.latency.quantile(0.99)};
  for (const auto& [metric, moments] : tally.metrics) {
    if (metric == "latency_ms")
      report.latency_ms = moments.mean;
    else if (metric != "accuracy")
      report.metrics[metric] = moments;
    if (metric != "accuracy" || moments.count == 0) continue;
    const ft::store::Share share{ft::store::right_of(moments), moments.count};
    const auto reach =
        e.rules.interval == RuleInterval::kNone
            ? ft::store::one_look(kShownConfidence)
            : ft::store::reach_of(e.rules, static_cast<double>(share.count));
    const auto interval = ft::store::interval_of(share, reach);
    report.labelled = share.count;
    report.right = share.right;
    report.accuracy = 100 * share.value();
    report.accuracy_low = 100 * interval.low;
    report.accuracy_high = 100 * interval.high;
  }
  return report;
}

Result<ExperimentReport> report_of(Work& work, const Experiment& e) {
  FT_TRY(const Tally control, work.experiments.tally(e.id, Arm::kControl));
  FT_TRY(const Tally treatment, work.experiments.tally(e.id, Arm::kTreatment));
  ExperimentReport report{.experiment = e,
                          .arms = {report_of(Arm::kControl, e, control),
                                   report_of(Arm::kTreatment, e, treatment)}};
  FT_TRY(report.verdict, ft::store::judge(e.rules, treatment, control));
  return report;
}

ExperimentState state_after(ExperimentEnd end) {
  switch (end) {
    case ExperimentEnd::kLeaveSlots: return ExperimentState::kStopped;
    case ExperimentEnd::kPromote: return ExperimentState::kPromoted;
    case ExperimentEnd::kRollback: return ExperimentState::kRolledBack;
  }
  return ExperimentState::kStopped;
}

}  // namespace

Status end_experiment(AdapterStore::Impl& store, Experiment& e,
                      ExperimentEnd end, const std::string& reason,
                      const ft::store::Index::Moment& moment) {
  Work work(store);
  FT_TRY_STATUS(move_slots(work, e, end, moment.counter));
  e.state = state_after(end);
  e.ended = moment.counter;
  e.ended_time = moment.time;
  e.reason = reason;
  return work.experiments.set_end(e);
}

Status refuse_experiment(AdapterStore::Impl& store, const std::string& name) {
  FT_TRY(const auto running, Work(store).experiments.running(name));
  if (!running) return {};
  return usage_error(fmt::format(
      "{}: an experiment of '{}' runs ({} against {}): it moves the slots when "
      "it ends, by 'ab decide' or 'ab stop'",
      store.where, name, running->adapter_of(Arm::kTreatment),
      running->control == 0 ? "the base alone"
                            : running->adapter_of(Arm::kControl)));
}

Status check_rules(const ExperimentRules& rules) {
  if (rules.least < 1 || rules.least > ft::store::kMostOutcomes)
    return usage_error(fmt::format("at least {} values are not from 1 to {}",
                                   rules.least, ft::store::kMostOutcomes));
  if (rules.interval != RuleInterval::kNone &&
      !(rules.confidence > 0 && rules.confidence < 1))
    return usage_error(fmt::format(
        "a confidence of {} is not above 0 and below 1; with the interval "
        "'none' what was measured is compared as it is",
        rules.confidence));
  if (rules.target < 1 || rules.target > kMostTarget)
    return usage_error(fmt::format("a target of {} values is not from 1 to {}",
                                   rules.target, kMostTarget));
  FT_TRY_STATUS(check_rule(rules.promote_if));
  return check_rule(rules.rollback_if);
}

Result<Experiment> Experiments::start(const ExperimentStart& options) {
  FT_TRY_STATUS(check_start(options));
  FT_TRY(Change change, Change::begin(*store_->impl_));
  Work work(*store_->impl_);
  FT_TRY_STATUS(refuse_experiment(work.store, options.name));
  FT_TRY(const auto rows, work.store.index.of_name(options.name));
  if (rows.empty()) return work.store.unknown(options.name);
  FT_TRY(const int64_t control, choose_control(work, options));
  FT_TRY(const StoredAdapter treatment, choose_treatment(work, options));
  FT_TRY_STATUS(check_arms(work, treatment, control));
  FT_TRY_STATUS(check_same_base(work, treatment, control));
  const auto& moment = change.moment();
  Experiment e{.name = options.name,
               .control = control,
               .treatment = treatment.version,
               .share = options.share,
               .salt = options.salt.empty() ? fmt::format("{}", moment.counter)
                                            : options.salt,
               .rules = options.rules,
               .started = moment.counter,
               .started_time = moment.time};
  FT_TRY_STATUS(work.experiments.insert(e));
  FT_TRY_STATUS(change.commit());
  return e;
}

Result<std::vector<Experiment>> Experiments::list(const std::string& name) {
  Work work(*store_->impl_);
  if (!name.empty()) {
    FT_TRY(const auto rows, work.store.index.of_name(name));
    if (rows.empty()) return work.store.unknown(name);
  }
  return work.experiments.list(name);
}

Result<Experiment> Experiments::running(const std::string& name) {
  return Work(*store_->impl_).must_run(name);
}

Result<std::vector<Experiment>> Experiments::running() {
  return Work(*store_->impl_).experiments.running();
}

Status Experiments::record(const Experiment& experiment, Arm arm,
                           const Tally& tally) {
  const Recorded one{experiment.id, arm, tally};
  FT_TRY(const size_t late, record(std::span(&one, 1)));
  if (late == 0) return {};
  return usage_error(fmt::format("{}: the experiment of '{}' has ended",
                                 store_->impl_->where, experiment.name));
}

Result<size_t> Experiments::record(std::span<const Recorded> batch) {
  FT_TRY(Change change, Change::begin(*store_->impl_));
  Work work(*store_->impl_);
  size_t late = 0;
  for (const Recorded& recorded : batch) {
    FT_TRY(const auto e, work.experiments.find(recorded.experiment));
    if (!e || e->state != ExperimentState::kRunning) {
      ++late;
      continue;
    }
    FT_TRY(Tally tally, work.experiments.tally(e->id, recorded.arm));
    tally.add(recorded.tally);
    if (tally.metrics.size() > ft::store::kMostMetrics)
      return usage_error(
          fmt::format("{}: the experiment of '{}' has {} metrics, above {}",
                      work.store.where, e->name, tally.metrics.size(),
                      ft::store::kMostMetrics));
    FT_TRY_STATUS(work.experiments.set_tally(e->id, recorded.arm, tally));
  }
  FT_TRY_STATUS(change.commit());
  return late;
}

Result<ExperimentReport> Experiments::report(const std::string& name) {
  Work work(*store_->impl_);
  FT_TRY(const auto running, work.experiments.running(name));
  if (running) return report_of(work, *running);
  FT_TRY(const auto all, list(name));
  if (all.empty())
    return usage_error(fmt::format("{}: there was no experiment of '{}'",
                                   work.store.where, name));
  return report_of(work, all.back());
}

// Not a change of the store unless a rule says so.
Result<ExperimentReport> Experiments::decide(const std::string& name) {
  {
    Work work(*store_->impl_);
    FT_TRY(const Experiment e, work.must_run(name));
    FT_TRY(auto now, report_of(work, e));
    if (!calls_for_end(now.verdict)) return now;
  }
  FT_TRY(Change change, Change::begin(*store_->impl_));
  Work work(*store_->impl_);
  FT_TRY(const Experiment e, work.must_run(name));
  FT_TRY(auto report, report_of(work, e));
  if (!calls_for_end(report.verdict)) return report;
  const bool promote = report.verdict.says == Verdict::Says::kPromote;
  FT_TRY_STATUS(end_experiment(
      work.store, report.experiment,
      promote ? ExperimentEnd::kPromote : ExperimentEnd::kRollback,
      report.verdict.sentence, change.moment()));
  FT_TRY_STATUS(change.commit());
  return report;
}

Result<ExperimentReport> Experiments::stop(const std::string& name,
                                           ExperimentEnd end,
                                           const std::string& reason) {
  FT_TRY_STATUS(ft::check_plain_text("the reason", reason));
  FT_TRY(Change change, Change::begin(*store_->impl_));
  Work work(*store_->impl_);
  FT_TRY(const Experiment e, work.must_run(name));
  FT_TRY(auto report, report_of(work, e));
  FT_TRY_STATUS(end_experiment(
      work.store, report.experiment, end,
      reason.empty() ? std::string("it was stopped by hand") : reason,
      change.moment()));
  FT_TRY_STATUS(change.commit());
  return report;
}

}  // namespace fieldtune
