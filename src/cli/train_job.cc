#include "cli/train_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>

#include "base/file.h"
#include "base/hash.h"
#include "base/writer_lock.h"
#include "cli/below_adapters.h"
#include "cli/feature_job.h"
#include "cli/measure.h"
#include "cli/plan_fields.h"
#include "cli/progress.h"
#include "cli/report/program_map.h"
#include "methods/sparse.h"
#include "train/adapted_model.h"
#include "train/answers.h"
#include "train/checkpoint.h"
#include "train/gradient_mask.h"
#include "train/trained_adapter.h"

namespace ft::cli {
namespace {

// For a run that ends, or a folder that is being tidied.
constexpr int kLockWaitMs = 200;

std::string text_sha256(const std::string& text) {
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

// The stages of one job share this state.
class Job {
 public:
  explicit Job(const TrainJob& job) : job_(job) {}

  Result<TrainOutcome> run() {
    FT_TRY_STATUS(check_options());
    FT_TRY_STATUS(open_start());
    FT_TRY_STATUS(load_data());
    FT_TRY_STATUS(compile());
    FT_TRY_STATUS(open_sessions());
    FT_TRY_STATUS(evaluate_into(outcome_.before));
    FT_TRY_STATUS(train());
    FT_TRY_STATUS(evaluate_into(outcome_.after));
    FT_TRY_STATUS(make_adapter());
    fill_fields();
    return std::move(outcome_);
  }

 private:
  Status check_options() {
    if (job_.out.empty()) return usage_error("no --out FILE was given");
    FT_TRY_STATUS(check_writable(job_.out));
    // Two runs would mix the parts of one checkpoint.
    FT_TRY(WriterLock lock,
           WriterLock::acquire(checkpoint_path(), kLockWaitMs));
    lock_.emplace(std::move(lock));
    if (!job_.loss_log.empty()) FT_TRY_STATUS(check_writable(job_.loss_log));
    FT_TRY(precision_, parse_precision(job_.method.precision));
    FT_TRY_STATUS(job_.method.ram_bytes().status());
    FT_TRY_STATUS(job_.method.storage.storage().status());
    FT_TRY_STATUS(check_optimizer(job_.optimizer.settings));
    return find_method(job_.method.method).status();
  }

  Status open_start() {
    if (job_.init_adapter.empty()) return ok_status();
    FT_TRY(const LoadRules rules, job_.policy.rules());
    FT_TRY(start_, open_adapter({.path = job_.init_adapter, .rules = rules}));
    if (job_.method.seq_len == 0)
      job_.method.seq_len = recorded_seq_len(start_->adapter);
    return ok_status();
  }

  Status load_data() {
    const Metadata start = start_ ? start_->adapter.metadata : Metadata();
    if (job_.data.text.empty()) {
      FT_TRY(data_, load_training_data(job_.data, job_.seed, nullptr, start));
      return ok_status();
    }
    FT_TRY(const BaseModel base,
           load_base(job_.model, precision_, 1, job_.method.seq_len));
    const TextReader reader(base);
    FT_TRY(data_, load_training_data(job_.data, job_.seed, &reader));
    return ok_status();
  }

  Status compile() {
    const auto classes = static_cast<int>(data_->set.classes.size());
    if (job_.method.new_head && classes == 0)
      return usage_error("--new-head needs data with classes");
    FT_TRY(BaseModel base, load_base(job_.model, precision_, job_.method.batch,
                                     job_.method.seq_len));
    base_sha256_ = base.sha256;
    if (start_) FT_TRY_STATUS(fit_to_base(base, *start_));
    FT_TRY(MethodSettings method,
           job_.method.settings(classes, job_.seed,
                                start_ ? &start_->method : nullptr));
    fill_total_updates(method,
                       count_updates(data_->split.train.size(),
                                     static_cast<size_t>(job_.method.batch),
                                     job_.optimizer.settings.accumulate,
                                     job_.optimizer.epochs));
    FT_TRY_STATUS(open_adapters_below(base));
    FT_TRY_STATUS(read_init_text(base, method));
    FT_TRY(StepSettings settings,
           job_.method.step(base.graph, method, job_.optimizer.settings,
                            job_.kernels.plan()));
    below_.add_to(settings, job_.method.loss == "auto");
    outcome_.task =
        settings.loss == Loss::kMse ? Task::kRegression : Task::kClassification;
    FT_TRY_STATUS(choose_masks(base.graph, settings));
    FT_TRY(BaseModel single,
           load_base(job_.model, precision_, 1, job_.method.seq_len));
    std::vector<MethodSettings> methods = settings.below;
    methods.push_back(settings.method);
    FT_TRY(features_, train_on_features(
                          {job_.feature_cache, job_.kernels.plan(), job_.quiet},
                          base, single, methods, *data_));
    FT_TRY(step_, compile_training(base.graph, settings));
    settings_ = std::move(settings);
    FT_TRY(inference_,
           compile_inference(single.graph, methods, job_.kernels.plan(),
                             precision_, settings_.storage));
    FT_TRY_STATUS(
        job_.kernels.layout.check({&step_.program, &inference_.program}));
    return init_values();
  }

  // What lies below, as the policy wants it.
  Status open_adapters_below(const BaseModel& base) {
    FT_TRY(const LoadRules rules, job_.policy.rules());
    std::vector<AdapterChoice> choices;
    for (const std::string& path : job_.on_top_of)
      choices.push_back({.path = path, .rules = rules});
    FT_TRY(below_,
           BelowAdapters::open(choices, base, precision_, data_->set.classes));
    return ok_status();
  }

  // What sparse fine-tuning keeps: as the adapter to start from, or by
  // gradients.
  Status choose_masks(const Graph& base, StepSettings& settings) {
    if (start_) {
      settings.method.masks = start_->method.masks;
    } else if (needs_gradient_mask(settings.method)) {
      const MaskSamples samples{data_->samples, to_indices(data_->split.train),
                                outcome_.task};
      FT_TRY(GradientMasks chosen,
             gradient_masks(base, settings, samples, [&](CompiledStep& step) {
               return below_.install(step);
             }));
      settings.method.masks = std::move(chosen.masks);
      mask_bytes_ = chosen.peak_bytes;
    }
    return ok_status();
  }

  Status init_values() {
    FT_TRY_STATUS(below_.install(step_));
    if (!start_) return ok_status();
    return install_adapter(start_->adapter, step_, below_.size())
        .in("--init-adapter");
  }

  Status open_sessions() {
    FT_TRY(Session session, Session::create(step_.program));
    train_.push_back(std::move(session));
    for (size_t i = 0; i < job_.data.threads; ++i) {
      FT_TRY(Session eval,
             Session::create_sharing(inference_.program, train_[0]));
      eval_.push_back(std::move(eval));
    }
    FT_TRY_STATUS(check_samples(step_.program, data_->samples));
    arena_used_ = measure_arena_use(train_[0]);
    return ok_status();
  }

  // The test part, or everything where there is none.
  std::vector<size_t> test_indices() const {
    const auto& test = data_->split.test;
    return to_indices(test.empty() ? data_->split.train : test);
  }

  Status evaluate_into(Evaluation& evaluation) {
    const bool possible =
        outcome_.task == Task::kRegression || !data_->samples.labels.empty();
    if (!possible) return ok_status();
    const auto indices = test_indices();
    FT_TRY(evaluation, evaluate(eval_, data_->samples, indices, outcome_.task));
    outcome_.evaluated = true;
    return ok_status();
  }

  std::string checkpoint_path() const {
    return job_.checkpoint.empty() ? job_.out + ".checkpoint" : job_.checkpoint;
  }

  // Everything that decides the bits of a run.
  std::string fingerprint() const {
    const auto& o = job_.optimizer;
    std::string text =
        fmt::format("{} {} {} {} {} {}", plan_hash(step_.program), base_sha256_,
                    job_.seed, o.epochs, o.patience, to_string(data_->augment));
    for (const auto& [name, value] : describe(o.settings))
      text += fmt::format(" {}={}", name, value);
    // The plan does not tell all of them: a seed of frozen values is none of
    // its numbers.
    for (const auto& [name, value] : to_metadata(settings_.method))
      text += fmt::format(" {}={}", name, value);
    if (o.in_order) text += " in order";
    text += sha256_hex(std::as_bytes(std::span(data_->set.features)));
    text += sha256_hex(std::as_bytes(std::span(data_->set.labels)));
    text += sha256_hex(std::as_bytes(std::span(data_->split.train)));
    text += sha256_hex(std::as_bytes(std::span(data_->split.validation)));
    if (!job_.init_adapter.empty() || below_.size() > 0)
      for (const Binding& b : step_.program.persistent)
        text += sha256_hex(step_.program.graph.value(b.value).data);
    return text_sha256(text);
  }

  Status train() {
    Trainer trainer(train_[0], eval_, data_->samples,
                    to_indices(data_->split.train),
                    to_indices(data_->split.validation), outcome_.task,
                    {.epochs = job_.optimizer.epochs,
                     .seed = job_.seed,
                     .patience = job_.optimizer.patience,
                     .shuffle = !job_.optimizer.in_order,
                     .first_result = first_result(settings_.method),
                     .optimizer = job_.optimizer.settings});
    FT_TRY_STATUS(trainer.check());
    if (job_.resume) FT_TRY_STATUS(resume(trainer));
    FT_TRY(stop_, run_steps(trainer));
    steps_done_ = trainer.state().step;
    if (trainer.state().best_epoch >= 0) best_loss_ = trainer.state().best_loss;
    outcome_.history = trainer.state().history;
    if (stop_ == StopReason::kInterrupted) {
      return io_error(fmt::format(
          "stopped after step {} of {}; '{}' holds the state, go on with "
          "--resume",
          steps_done_, trainer.total_steps(), checkpoint_path()));
    }
    if (stop_ == StopReason::kDiverged) {
      message_ = trainer.message();
      warn(message_ + "; the best adapter so far is kept");
    }
    for (const AdapterTensor& t : step_.adapted.tensors)
      set_adapter_values(train_[0], t, adapter_values(train_[0], t));
    return ok_status();
  }

  // A run that was killed before its first checkpoint has nothing to go on
  // from.
  Status resume(Trainer& trainer) {
    if (!std::filesystem::exists(checkpoint_path())) {
      warn(fmt::format("no checkpoint '{}' yet: starting from the beginning",
                       checkpoint_path()));
      return ok_status();
    }
    FT_TRY(TrainState state, load_checkpoint(checkpoint_path(), fingerprint(),
                                             train_[0].all_persistent()));
    trainer.resume(std::move(state));
    return ok_status();
  }

  // Whether this step is one that leaves a checkpoint.
  bool checkpoint_is_due(int64_t step) {
    if (job_.checkpoint_every > 0) return step % job_.checkpoint_every == 0;
    const auto now = Clock::now();
    if (now - last_checkpoint_ < kCheckpointAge) return false;
    last_checkpoint_ = now;
    return true;
  }

  Result<StopReason> run_steps(Trainer& trainer) {
    CheckpointWriter writer(checkpoint_path(), fingerprint());
    const auto save = [&] {
      return writer.save(train_[0].all_persistent(), trainer.state());
    };
    last_checkpoint_ = Clock::now();
    ProgressLine progress("step", trainer.total_steps(), job_.quiet);
    const int64_t first = trainer.state().step;
    Status saved;
    auto last = Clock::now();
    FT_TRY(const StopReason stop, trainer.run([&](const Progress& p) {
      const auto now = Clock::now();
      if (p.step > first) {
        step_ms_.push_back(
            std::chrono::duration<float, std::milli>(now - last).count());
        losses_.push_back(p.loss);
      }
      if (progress.due(p.step))
        progress.update(
            p.step, fmt::format("epoch {}  loss {:.4f}", p.epoch + 1, p.loss));
      if (p.step > first && checkpoint_is_due(p.step)) saved = save();
      const bool used_up =
          job_.stop_after > 0 && p.step - first >= job_.stop_after;
      last = Clock::now();
      return saved.ok() && !used_up && !interrupted();
    }));
    if (saved.ok() && stop == StopReason::kInterrupted) saved = save();
    FT_TRY_STATUS(saved);
    if (stop != StopReason::kInterrupted)
      losses_.push_back(trainer.last_loss());
    FT_TRY_STATUS(write_losses(first));
    progress.update(trainer.total_steps(), "");
    return stop;
  }

  Status write_losses(int64_t first) const {
    if (job_.loss_log.empty()) return ok_status();
    std::string text = "step,loss\n";
    for (size_t i = 0; i < losses_.size(); ++i)
      text += fmt::format("{},{:.9g}\n", first + static_cast<int64_t>(i) + 1,
                          losses_[i]);
    return write_file_atomically(job_.loss_log, text);
  }

  // Range of the logits over the training samples: merge needs it to give a
  // new head an int8 output quantizer.
  void record_answer_range(std::map<std::string, std::string>& metadata) {
    float low = 0, high = 0;
    std::vector<float> features(data_->samples.feature_size);
    Session& session = eval_[0];
    for (const uint32_t sample : data_->split.train) {
      data_->samples.fill(sample, -1, features);
      write_features(session.input(0), session.program().inputs[0].type, 0,
                     features);
      session.run();
      for (const float v : read_answer(session)) {
        low = std::min(low, v);
        high = std::max(high, v);
      }
    }
    metadata["answer_low"] = fmt::format("{:.9g}", low);
    metadata["answer_high"] = fmt::format("{:.9g}", high);
  }

  Status make_adapter() {
    FT_TRY(outcome_.adapter,
           trained_adapter(train_[0], step_, settings_, base_sha256_));
    Adapter& adapter = outcome_.adapter;
    if (start_) adapter.metadata["parent_sha256"] = start_->sha256;
    if (below_.size() > 0)
      adapter.metadata["on_top_of"] = below_.hashes().dump();
    if (outcome_.evaluated && outcome_.task == Task::kClassification)
      adapter.metadata["accuracy"] =
          fmt::format("{:.6f}", outcome_.after.accuracy);
    if (outcome_.evaluated && outcome_.task == Task::kRegression)
      adapter.metadata["mse"] = fmt::format("{:.9g}", outcome_.after.mse);
    record_data(job_.data, *data_, job_.seed, adapter.metadata);
    if (data_->samples.label_size == 1) record_answer_range(adapter.metadata);
    FT_TRY(const auto bytes, encode_adapter(adapter));
    adapter_bytes_ = bytes.size();
    outcome_.adapter_sha256 = sha256_hex(bytes);
    FT_TRY_STATUS(write_file_atomically(job_.out, bytes));
    return remove_checkpoint(checkpoint_path());  // power may go before it
  }

  double median_step_ms() {
    if (step_ms_.empty()) return std::nan("");
    const auto middle =
        step_ms_.begin() + static_cast<ptrdiff_t>(step_ms_.size() / 2);
    std::ranges::nth_element(step_ms_, middle);
    return static_cast<double>(*middle);
  }

  void fill_fields() {
    Json& f = outcome_.fields;
    f = plan_fields(step_.program);
    f["kernel_calls"] = f["steps"];
    f["steps"] = steps_done_;
    f["updates"] = steps_done_ / job_.optimizer.settings.accumulate;
    f["optimizer"] = optimizer_fields(settings_.optimizer);
    f["arena_bytes_used"] = arena_used_;
    const bool classes = outcome_.task == Task::kClassification;
    const auto metric = [&](const Evaluation& e) {
      return outcome_.evaluated ? Json(classes ? e.accuracy : e.mse) : Json();
    };
    f[classes ? "accuracy_before" : "mse_before"] = metric(outcome_.before);
    f[classes ? "accuracy_after" : "mse_after"] = metric(outcome_.after);
    if (outcome_.after.has_auc) {
      f["auc_before"] = outcome_.before.auc;
      f["auc_after"] = outcome_.after.auc;
    }
    f["samples"] = outcome_.evaluated ? outcome_.after.samples : 0;
    f["loss_after"] = number_or_null(best_loss_);
    if (data_->samples.label_size > 1) {
      f["loss_before"] = number_or_null(outcome_.before.loss);
      f["loss_after"] = number_or_null(outcome_.after.loss);
      f["perplexity_before"] = number_or_null(std::exp(outcome_.before.loss));
      f["perplexity"] = number_or_null(std::exp(outcome_.after.loss));
    }
    if (!features_.empty()) f["features"] = features_;
    f["trainable"] = trainable_values(step_);
    if (mask_bytes_ > 0) f["mask_bytes"] = mask_bytes_;
    f["adapter"] = job_.out;
    f["adapter_bytes"] = adapter_bytes_;
    f["adapter_dtype"] = settings_.storage.quantizer.to_string();
    f["adapter_sha256"] = outcome_.adapter_sha256;
    f["step_ms"] = number_or_null(median_step_ms());
    f["stopped"] = stop_ == StopReason::kFinished   ? "finished"
                   : stop_ == StopReason::kPatience ? "no improvement"
                                                    : message_;
    const size_t peak = peak_rss_bytes();
    f["peak_rss_bytes"] = peak > 0 ? Json(peak) : Json();
    outcome_.classes = data_->set.classes;
    outcome_.memory = map_of(step_.program);
  }

  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::minutes kCheckpointAge{1};

  TrainJob job_;
  TrainOutcome outcome_;
  std::unique_ptr<LoadedData> data_;
  Precision precision_ = Precision::kMixed;
  StepSettings settings_;
  std::string base_sha256_;
  std::optional<LoadedAdapter> start_;  // of --init-adapter
  BelowAdapters below_;
  CompiledStep step_, inference_;
  std::vector<Session> train_, eval_;  // train_ has one
  Json features_;                      // of --feature-cache
  size_t mask_bytes_ = 0;              // of choosing masks by gradients
  size_t arena_used_ = 0, adapter_bytes_ = 0;
  StopReason stop_ = StopReason::kFinished;
  std::string message_;
  int64_t steps_done_ = 0;
  double best_loss_ = std::nan("");  // of the epoch that was kept
  std::vector<float> step_ms_;
  std::vector<double> losses_;  // of the steps of this call
  Clock::time_point last_checkpoint_;
  std::optional<WriterLock> lock_;  // of the checkpoint
};

}  // namespace

Result<TrainOutcome> run_train_job(const TrainJob& job) {
  return Job(job).run();
}

}  // namespace ft::cli
