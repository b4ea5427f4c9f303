#include "cli/ab_run_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "fieldtune/runtime.h"
#include "train/base_model.h"

namespace ft::cli {
namespace {

using fieldtune::AdapterStore;
using fieldtune::Arm;
using fieldtune::Experiment;
using fieldtune::LiveExperiments;
using fieldtune::Outcome;
using fieldtune::Runtime;

struct Arms {
  Experiment experiment;
  Metadata treatment;  // of its file: says how to read the data
};

Result<Arms> find_arms(const AbRun& job) {
  FT_TRY(auto store, AdapterStore::open(job.store, {.read_only = true,
                                                    .busy_ms = job.busy_ms,
                                                    .key = job.key}));
  FT_TRY(Experiment e, fieldtune::Experiments(store).running(job.name));
  FT_TRY(const auto row, store.find(e.name, e.treatment));
  FT_TRY(const BaseModel base, open_base_model(job.model));
  if (base.sha256 != row.base_sha256)
    return invalid_input(fmt::format(
        "'{}' is another base model (sha256 {}) than that of {} ({})",
        job.model, base.sha256, e.adapter_of(Arm::kTreatment),
        row.base_sha256));
  FT_TRY(const auto file, store.load(row));
  FT_TRY(Adapter adapter,
         decode_adapter(file.bytes(), e.adapter_of(Arm::kTreatment)));
  return Arms{std::move(e), std::move(adapter.metadata)};
}

// What an answer is worth: the right class, or the mean squared error.
class Judge {
 public:
  explicit Judge(const Dataset& set) : set_(set) {}

  Status check() const {
    if (set_.labels.empty() && set_.targets.empty())
      return usage_error("the data has no labels");
    if (set_.label_size > 1)
      return usage_error("an experiment counts one label a sample");
    return {};
  }

  Result<Outcome> outcome(size_t sample, const std::vector<float>& answer,
                          const std::string& adapter) const {
    Outcome outcome{.requests = 1};
    if (set_.labels.empty()) {
      const auto target = set_.target(sample);
      if (target.size() != answer.size())
        return wrong_size(adapter, answer.size(), target.size());
      double sum = 0;
      for (size_t i = 0; i < answer.size(); ++i) {
        const double miss = double{answer[i]} - double{target[i]};
        sum += miss * miss;
      }
      outcome.metrics["mse"] = sum / static_cast<double>(answer.size());
      return outcome;
    }
    if (answer.size() != set_.classes.size())
      return wrong_size(adapter, answer.size(), set_.classes.size());
    const auto highest = std::ranges::max_element(answer);
    outcome.right = highest - answer.begin() == set_.labels[sample];
    return outcome;
  }

 private:
  static Status wrong_size(const std::string& adapter, size_t has,
                           size_t wanted) {
    return usage_error(fmt::format(
        "{} answers {} values, the data has {}: give --class-names that both "
        "arms have",
        adapter.empty() ? "the base alone" : adapter, has, wanted));
  }

  const Dataset& set_;
};

Status play(const EvaluationData& data, const Experiment& e, Runtime& runtime,
            LiveExperiments& live) {
  using Clock = std::chrono::steady_clock;
  const Dataset& set = data.data->set;
  const Judge judge(set);
  FT_TRY_STATUS(judge.check());
  for (const Arm arm : fieldtune::kArms)  // no request waits for a load
    if (!e.adapter_of(arm).empty())
      FT_TRY_STATUS(runtime.pin(e.adapter_of(arm)));
  std::vector<float> answer;
  for (const size_t i : data.indices) {
    const auto arm = live.assign(e.name, set.sample_names[i]);
    if (!arm || arm->experiment != e.id)
      return usage_error(
          fmt::format("the experiment of '{}' ended meanwhile", e.name));
    const auto start = Clock::now();
    FT_TRY_STATUS(runtime.run_with(arm->adapter, set.feature(i), answer));
    const std::chrono::duration<double, std::milli> took = Clock::now() - start;
    FT_TRY(Outcome outcome, judge.outcome(i, answer, arm->adapter));
    outcome.latency_ms = took.count();
    FT_TRY_STATUS(live.record(*arm, outcome));
  }
  return {};
}

}  // namespace

Result<fieldtune::ExperimentReport> run_ab(const AbRun& job) {
  FT_TRY(const Arms arms, find_arms(job));
  FT_TRY(const EvaluationData data,
         load_evaluation_data(job.data, arms.treatment));
  FT_TRY(auto runtime, Runtime::open(job.model, {.policy = job.policy}));
  FT_TRY_STATUS(runtime.add_store(job.store, job.key).status());
  FT_TRY(auto live,
         LiveExperiments::open(
             job.store, {.store = {.busy_ms = job.busy_ms, .key = job.key}}));
  FT_TRY_STATUS(play(data, arms.experiment, runtime, live));
  return job.decide ? live.decide(job.name) : live.report(job.name);
}

}  // namespace ft::cli
