#include "train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/random.h"
#include "train/answers.h"

namespace ft {
namespace {

// A loss this many times the first epoch's mean will not come back.
constexpr double kExploded = 1e4;

size_t batch_of(const Program& program) {
  const Shape& shape = program.inputs[0].type.shape;
  return shape.rank() > 0 ? static_cast<size_t>(shape[0]) : 1;
}

// Runs of an epoch: as many as make whole updates, so that an epoch is the same
// as with a batch that is `accumulate` times as large.
int64_t whole_updates(size_t batches, int64_t accumulate) {
  const auto runs = static_cast<int64_t>(batches);
  return runs - runs % accumulate;
}

size_t params_bytes_of(const Program& program) {
  size_t end = 0;
  for (const Binding& b : program.persistent)
    if (program.graph.value(b.value).kind == ValueKind::kParam)
      end = std::max(end, b.ref.offset + b.type.num_bytes());
  return end;
}

}  // namespace

int64_t count_updates(size_t samples, size_t batch, int64_t accumulate,
                      int epochs) {
  return whole_updates(samples / batch, accumulate) / accumulate * epochs;
}

Trainer::Trainer(Session& train, std::span<Session> validation,
                 const Samples& samples, std::vector<size_t> train_indices,
                 std::vector<size_t> val_indices, Task task,
                 TrainSettings settings)
    : session_(train),
      validation_(validation),
      samples_(samples),
      train_indices_(std::move(train_indices)),
      val_indices_(std::move(val_indices)),
      task_(task),
      settings_(std::move(settings)),
      batch_(batch_of(train.program())),
      steps_per_epoch_(whole_updates(train_indices_.size() / batch_,
                                     settings_.optimizer.accumulate)),
      params_bytes_(params_bytes_of(train.program())),
      features_(samples.feature_size) {}

Status Trainer::check() const {
  FT_TRY_STATUS(check_samples(session_.program(), samples_));
  if (settings_.epochs < 1)
    return usage_error(
        fmt::format("{} epochs: must be at least 1", settings_.epochs));
  if (steps_per_epoch_ < 1)
    return invalid_input(fmt::format(
        "{} training samples are fewer than the {} of one update (batch {} "
        "times --accumulate {})",
        train_indices_.size(),
        batch_ * static_cast<size_t>(settings_.optimizer.accumulate), batch_,
        settings_.optimizer.accumulate));
  if (const int64_t updates = total_steps() / settings_.optimizer.accumulate;
      updates < settings_.first_result)
    return usage_error(fmt::format(
        "the method reaches its result at update {}, but this training makes "
        "{}: give more --epochs, or the method fewer updates",
        settings_.first_result, updates));
  const Shape& target = session_.program().inputs[kTargetInput].type.shape;
  if (samples_.label_size > 1) {
    if (static_cast<size_t>(target.num_elements()) ==
        samples_.label_size * batch_)
      return ok_status();
    return invalid_input(
        fmt::format("the model answers {} tokens a sample, the data has {}",
                    static_cast<size_t>(target.num_elements()) / batch_,
                    samples_.label_size));
  }
  if (task_ == Task::kClassification) {
    if (session_.program().outputs.size() < 2)
      return invalid_input(
          "the model answers every token, the data has one label a sample");
    const int64_t classes =
        session_.program().outputs[kAnswerOutput].type.shape.back();
    for (const size_t i : train_indices_)
      if (samples_.labels.empty() || samples_.labels[i] < 0 ||
          samples_.labels[i] >= classes)
        return invalid_input(fmt::format(
            "sample {} has label {}, but the model knows {} classes (use "
            "--new-head for new ones)",
            i, samples_.labels.empty() ? -1 : samples_.labels[i], classes));
    return ok_status();
  }
  const size_t want =
      samples_.targets.empty() ? samples_.feature_size : samples_.target_size;
  if (static_cast<size_t>(target.num_elements()) == want * batch_)
    return ok_status();
  return invalid_input(
      fmt::format("the model answers {} values a sample, the target has {}",
                  static_cast<size_t>(target.num_elements()) / batch_, want));
}

// Fisher-Yates with one draw per place: depends on seed and epoch only.
void Trainer::start_epoch(int epoch) {
  order_ = train_indices_;
  if (!settings_.shuffle) return;
  const Random random(settings_.seed, "shuffle");
  const uint64_t base = static_cast<uint64_t>(epoch) << 32;
  for (size_t i = order_.size(); i > 1; --i)
    std::swap(order_[i - 1],
              order_[random.below(base + i, static_cast<uint32_t>(i))]);
}

void Trainer::feed(size_t first) {
  const auto epoch = static_cast<int>(state_.step / steps_per_epoch_);
  const auto input = session_.input(0);
  const TensorType& type = session_.program().inputs[0].type;
  for (size_t slot = 0; slot < batch_; ++slot) {
    const size_t sample = order_[first + slot];
    samples_.fill(sample, epoch, features_);
    write_features(input, type, slot, features_);
    if (task_ == Task::kClassification) {
      std::ranges::copy(samples_.labels_of(sample),
                        session_.input_as<int32_t>(kTargetInput).begin() +
                            static_cast<ptrdiff_t>(slot * samples_.label_size));
      continue;
    }
    std::span<const float> target = features_;
    if (!samples_.targets.empty())
      target = samples_.targets.subspan(sample * samples_.target_size,
                                        samples_.target_size);
    write_features(session_.input(kTargetInput),
                   session_.program().inputs[kTargetInput].type, slot, target);
  }
  write_hyper(session_, settings_.optimizer, state_.step, total_steps(),
              settings_.seed);
}

void Trainer::run_step() {
  const auto in_epoch = static_cast<size_t>(state_.step % steps_per_epoch_);
  feed(in_epoch * batch_);
  session_.run();
  last_loss_ = read_loss(session_);
}

bool Trainer::diverged() const {
  if (!std::isfinite(last_loss_)) return true;
  if (state_.history.empty()) return false;
  return last_loss_ > kExploded * (1 + state_.history[0].train_loss);
}

Result<StopReason> Trainer::run(
    const std::function<bool(const Progress&)>& keep_going) {
  FT_TRY_STATUS(check());
  start_epoch(static_cast<int>(state_.step / steps_per_epoch_));
  while (state_.step < total_steps()) {
    const auto epoch = static_cast<int>(state_.step / steps_per_epoch_);
    if (!keep_going({state_.step, total_steps(), epoch, last_loss_}))
      return StopReason::kInterrupted;
    run_step();
    if (diverged()) {
      message_ = fmt::format(
          "the loss became {} at step {} (epoch {}); try a smaller --lr",
          last_loss_, state_.step + 1, epoch + 1);
      restore_best();
      return StopReason::kDiverged;
    }
    state_.epoch_loss_sum += last_loss_;
    ++state_.step;
    if (state_.step % steps_per_epoch_ != 0) continue;
    FT_TRY_STATUS(finish_epoch());
    if (settings_.patience > 0 &&
        state_.epochs_without_gain >= settings_.patience) {
      restore_best();
      return StopReason::kPatience;
    }
    start_epoch(epoch + 1);
  }
  restore_best();
  return StopReason::kFinished;
}

Status Trainer::finish_epoch() {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  EpochRecord record{
      .epoch = static_cast<int>(state_.step / steps_per_epoch_) - 1,
      .train_loss =
          state_.epoch_loss_sum / static_cast<double>(steps_per_epoch_),
      .val_loss = kNan,
      .val_accuracy = kNan};
  state_.epoch_loss_sum = 0;
  if (!val_indices_.empty()) {
    FT_TRY(const Evaluation e,
           evaluate(validation_, samples_, val_indices_, task_));
    record.val_loss = e.loss;
    if (task_ == Task::kClassification) record.val_accuracy = e.accuracy;
  }
  state_.history.push_back(record);
  keep_best(val_indices_.empty() ? record.train_loss : record.val_loss);
  return ok_status();
}

bool Trainer::counts(int epoch) const {
  return (epoch + 1) * steps_per_epoch_ / settings_.optimizer.accumulate >=
         settings_.first_result;
}

void Trainer::keep_best(double loss) {
  const int best = state_.best_epoch;
  if (best >= 0 && counts(best) && loss >= state_.best_loss) {
    ++state_.epochs_without_gain;
    return;
  }
  state_.epochs_without_gain = 0;
  state_.best_epoch = state_.history.back().epoch;
  state_.best_loss = loss;
  const auto now = params();
  state_.best_params.assign(now.begin(), now.end());
}

// Before the first epoch has ended there is no best yet: a diverged run then
// goes back to the initial values.
void Trainer::restore_best() {
  if (state_.best_epoch >= 0) {
    std::ranges::copy(state_.best_params, params().begin());
    return;
  }
  for (const Binding& b : session_.program().persistent) {
    const Value& value = session_.program().graph.value(b.value);
    if (value.kind == ValueKind::kParam && !value.data.empty())
      std::ranges::copy(value.data, session_.persistent(b.name).begin());
  }
}

std::span<std::byte> Trainer::params() {
  return session_.all_persistent().first(params_bytes_);
}

}  // namespace ft
