#include "cli/plan_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "cli/plan_costs.h"
#include "cli/report/program_map.h"
#include "plan/cost.h"
#include "train/feature_cache.h"

namespace ft::cli {
namespace {

const char* purpose_of(BufferKind kind) {
  switch (kind) {
    case BufferKind::kInput: return "input";
    case BufferKind::kForward: return "forward only";
    case BufferKind::kKept: return "kept for the backward pass";
    case BufferKind::kGradient: break;
  }
  return "gradient";
}

std::string call_name(const MemoryMap& map, int call) {
  const auto c = static_cast<size_t>(call);
  return c < map.calls.size() ? map.calls[c] : "the end";
}

// One option in another place.
struct Knob {
  std::string name, value;
  std::function<void(PlanJob&)> turn;
};

class Knobs {
 public:
  explicit Knobs(const PlanJob& job) : job_(job) {}

  std::vector<Knob> all() {
    add_recompute();
    if (!job_.on_features)
      knobs_.push_back(
          {"feature-cache", "yes", [](PlanJob& j) { j.on_features = true; }});
    knobs_.push_back(
        {"keep-order", job_.kernels.layout.keep_order ? "false" : "true",
         [](PlanJob& j) {
           j.kernels.layout.keep_order = !j.kernels.layout.keep_order;
         }});
    knobs_.push_back({"in-place", "false",
                      [](PlanJob& j) { j.kernels.layout.in_place = false; }});
    add_words(
        "patches", job_.kernels.layout.patches, {"off", "auto"},
        [](PlanJob& j) -> std::string& { return j.kernels.layout.patches; });
    add_words("precision", job_.method.precision, {"f32", "mixed", "integer"},
              [](PlanJob& j) -> std::string& { return j.method.precision; });
    add_words("optimizer", job_.optimizer.settings.optimizer,
              {"adamw", "adamw8bit", "sgd"}, [](PlanJob& j) -> std::string& {
                return j.optimizer.settings.optimizer;
              });
    add_words(
        "adapter-dtype", job_.method.storage.dtype, {"f32", "int8", "int4"},
        [](PlanJob& j) -> std::string& { return j.method.storage.dtype; });
    add_ranks();
    add_numbers("batch", {1, job_.method.batch * 2}, job_.method.batch,
                [](PlanJob& j, int n) { j.method.batch = n; });
    add_numbers("accumulate", {1, 4},
                static_cast<int>(job_.optimizer.settings.accumulate),
                [](PlanJob& j, int n) { j.optimizer.settings.accumulate = n; });
    return std::move(knobs_);
  }

 private:
  void add_recompute() {
    for (const char* word : {"never", "always", "all"})
      knobs_.push_back({"recompute", word, [word](PlanJob& j) {
                          j.method.recompute = word;
                          j.method.recompute_limit = 0;
                        }});
    knobs_.push_back({"recompute-limit", "1.3", [](PlanJob& j) {
                        j.method.recompute = "auto";
                        j.method.recompute_limit = 1.3;
                      }});
  }

  template <class Field>
  void add_words(const std::string& name, const std::string& now,
                 const std::vector<std::string>& words, Field field) {
    for (const std::string& word : words)
      if (word != now)
        knobs_.push_back(
            {name, word, [field, word](PlanJob& j) { field(j) = word; }});
  }

  template <class Turn>
  void add_numbers(const std::string& name, std::vector<int> numbers, int now,
                   Turn turn) {
    for (const int n : numbers)
      if (n != now && n > 0)
        knobs_.push_back({name, fmt::format("{}", n),
                          [turn, n](PlanJob& j) { turn(j, n); }});
  }

  void add_ranks() {
    const auto settings = job_.method.settings(0, 0);
    if (!settings.ok() || settings.value().r <= 0) return;
    const int r = settings.value().r;
    add_numbers("rank", {1, r / 2 == 1 ? 0 : r / 2, 2 * r}, r,
                [](PlanJob& j, int n) { j.method.rank = n; });
  }

  const PlanJob& job_;
  std::vector<Knob> knobs_;
};

Json row_of(const Knob& knob, const Program& now,
            const Result<CompiledStep>& changed, size_t budget) {
  Json row = {{"knob", knob.name}, {"value", knob.value}};
  if (!changed.ok()) {
    row["refused"] = changed.status().message();
    return row;
  }
  const Program& p = changed.value().program;
  row["ram_bytes"] = p.ram_bytes();
  row["change_in_bytes"] = static_cast<int64_t>(p.ram_bytes()) -
                           static_cast<int64_t>(now.ram_bytes());
  row["arena_bytes"] = p.arena_bytes;
  row["persistent_bytes"] = p.persistent_bytes;
  row["scratch_bytes"] = p.scratch_bytes;
  row["macs"] = p.macs;
  if (budget != SIZE_MAX) row["fits"] = p.ram_bytes() <= budget;
  return row;
}

Result<BaseModel> base_of(const PlanJob& job, int batch) {
  FT_TRY(const Precision precision, parse_precision(job.method.precision));
  return load_base(job.model, precision, batch, job.method.seq_len);
}

Result<StepSettings> settings_of(const PlanJob& job, const BaseModel& base) {
  FT_TRY(MethodSettings method, job.method.settings(0, 0));
  FT_TRY_STATUS(read_init_text(base, method));
  PlanOptions plan = job.kernels.plan();
  if (job.target != nullptr) plan = plan_on(*job.target, plan);
  return job.method.step(base.graph, method, job.optimizer.settings, plan);
}

}  // namespace

Result<CompiledStep> plan_step(const PlanJob& job) {
  FT_TRY(BaseModel base, base_of(job, job.method.batch));
  FT_TRY(const StepSettings settings, settings_of(job, base));
  if (job.on_features)
    FT_TRY_STATUS(
        take_frozen_trunk(base, std::span(&settings.method, 1)).status());
  return compile_training(base.graph, settings);
}

// Inference is of one sample, whatever the batch is.
Status add_target_costs(const PlanJob& job, const CompiledStep& step,
                        bool with_rows, Json& fields) {
  FT_TRY(const BaseModel single, base_of(job, 1));
  FT_TRY(const StepSettings settings, settings_of(job, single));
  return add_costs(*job.target, single, settings, step, with_rows, fields);
}

Json tensors_at_peak(const Program& program) {
  const MemoryMap map = map_of(program);
  Json list = Json::array();
  for (const ArenaBuffer* b : fullest_buffers(program)) {
    const auto i = static_cast<size_t>(b - program.arena.data());
    list.push_back(
        {{"name", b->name},
         {"purpose", purpose_of(map.buffers[i].kind)},
         {"buffer_bytes", b->lifetime.bytes},
         {"share_of_arena", static_cast<double>(b->lifetime.bytes) /
                                static_cast<double>(program.arena_bytes)},
         {"offset_bytes", b->offset},
         {"first_call", call_name(map, b->lifetime.first_use)},
         {"last_call", call_name(map, b->lifetime.last_use)}});
  }
  return list;
}

Json explain_knobs(const PlanJob& job, const CompiledStep& step) {
  const auto budget = job.method.ram_bytes();
  Json rows = Json::array();
  for (const Knob& knob : Knobs(job).all()) {
    PlanJob other = job;
    other.method.ram.clear();
    knob.turn(other);
    rows.push_back(row_of(knob, step.program, plan_step(other),
                          budget.ok() ? budget.value() : SIZE_MAX));
  }
  return rows;
}

}  // namespace ft::cli
