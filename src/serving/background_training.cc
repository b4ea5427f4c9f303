#include "fieldtune/background_training.h"

#include <fmt/format.h>
#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <future>

#include "base/file.h"
#include "base/hash.h"
#include "serving/background_impl.h"
#include "serving/idle_thread.h"

namespace fieldtune {
namespace {

using Clock = std::chrono::steady_clock;
using State = BackgroundProgress::State;
namespace fs = std::filesystem;

// A look at the flags costs a system call; calls that are shorter than this
// share one.
constexpr std::chrono::microseconds kLeastSlice{20};
constexpr std::chrono::milliseconds kPressureAge{100};

double thread_cpu_us() {
  timespec now = {};
  (void)::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e6 * static_cast<double>(now.tv_sec) +
         1e-3 * static_cast<double>(now.tv_nsec);
}

Status check_options(const BackgroundOptions& o) {
  if (o.name.empty() || o.name.find('/') != std::string::npos)
    return ft::usage_error(
        fmt::format("'{}' cannot be an adapter's name", o.name));
  if (o.publish_every < 1)
    return ft::usage_error(
        fmt::format("publish_every {}: must be at least 1", o.publish_every));
  if (!(o.held_back > 0 && o.held_back < 1))
    return ft::usage_error(
        fmt::format("held_back {}: must lie between 0 and 1", o.held_back));
  if (!(o.least_gain >= -1 && o.least_gain <= 1))
    return ft::usage_error(
        fmt::format("least_gain {}: must lie between -1 and 1", o.least_gain));
  if (!(o.checkpoint_seconds >= 0))
    return ft::usage_error(fmt::format(
        "checkpoint_seconds {}: must not be below 0", o.checkpoint_seconds));
  return ft::check_writable(fs::path(o.folder) / "v");
}

// The highest N of the folder's files NAME-vN.safetensors; 0: there is none.
int last_version(const std::string& folder, const std::string& name) {
  int last = 0;
  const std::string before = name + "-v", after = ".safetensors";
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string file = entry.path().filename();
    if (!file.starts_with(before) || !file.ends_with(after)) continue;
    int version = 0;
    const char* const digits = file.data() + before.size();
    const char* const stop = file.data() + file.size() - after.size();
    const auto [end, error] = std::from_chars(digits, stop, version);
    if (error == std::errc() && end == stop) last = std::max(last, version);
  }
  return last;
}

}  // namespace

// What does not need the thread.
Status BackgroundTraining::Impl::prepare() {
  if (training.label_size() != 1)
    return ft::usage_error(
        "training in the background needs a model that gives a sample one "
        "label");
  const std::vector<float> nothing(training.feature_size());
  FT_TRY(const auto logits, training.predict(nothing));
  classes = logits.size();
  FT_TRY_STATUS(runtime.run_with("", nothing, answer));
  base_has_our_classes = answer.size() == classes;
  version = last_version(options.folder, options.name);
  if (version > 0) {
    FT_TRY(const ft::MappedFile last, ft::MappedFile::open(file_of(version)));
    parent_sha256 = ft::sha256_hex(last.bytes());
    if (version >= options.versions_before)
      newest.assign(last.bytes().begin(), last.bytes().end());
  }
  version = std::max(version, options.versions_before);
  if (!options.signing_key.empty()) {
    FT_TRY(ft::SigningKey key, ft::load_signing_key(options.signing_key));
    signing_key.emplace(std::move(key));
  }
  if (!options.checkpoint.empty() && fs::exists(options.checkpoint))
    FT_TRY_STATUS(training.load_checkpoint(options.checkpoint));
  features.resize(nothing.size() * static_cast<size_t>(options.training.batch));
  labels.resize(static_cast<size_t>(options.training.batch));
  training.set_between_calls([this] { look(); });
  progress.total_steps = options.training.total_steps;
  steps = saved_steps = training.steps_done();
  return ft::ok_status();
}

Status BackgroundTraining::Impl::start() {
  std::promise<Status> ready;
  std::future<Status> placed = ready.get_future();
  thread = std::thread([this, ready = std::move(ready)]() mutable {
    (void)::pthread_setname_np(::pthread_self(), "ft_background");
    const Status status = ft::confine_to(options.cpus);
    ready.set_value(status);
    if (!status.ok()) return;
    // Last: from here on nobody may wait for it.
    if (options.idle_class) is_idle_class = ft::become_idle_class();
    work();
  });
  Status status = placed.get();
  if (!status.ok()) thread.join();
  return status;
}

Status BackgroundTraining::Impl::stop() {
  const std::lock_guard one_at_a_time(stopping_mutex);
  if (!thread.joinable()) return ft::ok_status();
  stopping = true;
  { const std::lock_guard lock(mutex); }
  changed.notify_all();
  thread.join();
  return result.ok() ? save() : ft::ok_status();
}

void BackgroundTraining::Impl::enter(State state) {
  progress.state = state;
  changed.notify_all();
}

Status BackgroundTraining::Impl::learn() {
  last_save = Clock::now();
  for (bool last = false; !last;) {
    FT_TRY(const bool goes_on, next_batch());
    if (!goes_on) break;
    if (training.steps_done() == 0 && !base_has_our_classes)
      FT_TRY_STATUS(
          judge(serving_right, [this](auto x) { return own_answer(x); }));
    FT_TRY_STATUS(step());
    const int64_t done = training.steps_done();
    last = done == options.training.total_steps;
    if (last || done % options.publish_every == 0) FT_TRY_STATUS(consider());
    save_if_due(last);
  }
  return ft::ok_status();
}

Status BackgroundTraining::Impl::save() {
  if (options.checkpoint.empty()) return ft::ok_status();
  Status saved = training.save_checkpoint(options.checkpoint);
  last_save = Clock::now();
  if (saved.ok()) saved_steps = training.steps_done();
  if (checkpoint_problem != saved.message()) {
    checkpoint_problem = saved.message();
    change([&] { progress.checkpoint_problem = checkpoint_problem; });
  }
  return saved;
}

// After all that follows a step: who goes on from here does not do that again.
// A disk that is full for an hour is no reason to end.
void BackgroundTraining::Impl::save_if_due(bool last) {
  const std::chrono::duration<double> age = Clock::now() - last_save;
  const bool due = last || age.count() >= options.checkpoint_seconds;
  if (due && saved_steps != steps) (void)save().ok();
}

void BackgroundTraining::Impl::end(Status status) {
  change([&] {
    if (!status.ok()) {
      progress.message = status.message();
      progress.state = State::kFailed;
    } else if (steps == options.training.total_steps) {
      progress.state = State::kFinished;
    }
    result = std::move(status);
    ended = true;
    changed.notify_all();
  });
}

// Whether to make a step with it now; false: stop.
Result<bool> BackgroundTraining::Impl::next_batch() {
  bool goes_on = false;
  FT_TRY_STATUS(caller.run([&] {
    std::unique_lock lock(mutex);
    wait_for_samples(lock);
    rest(lock);
    goes_on = !stopping && steps < options.training.total_steps;
    if (goes_on) draw_batch();
    return ft::ok_status();
  }));
  slice_began_us = thread_cpu_us();
  last_look = Clock::now();
  return goes_on;
}

void BackgroundTraining::Impl::wait_for_samples(
    std::unique_lock<std::mutex>& lock) {
  while (!stopping && !enough()) {
    enter(State::kWaiting);
    changed.wait(lock, [&] { return stopping || enough(); });
  }
}

void BackgroundTraining::Impl::draw_batch() {
  const size_t size = training.feature_size();
  for (size_t i = 0; i < labels.size(); ++i) {
    const size_t sample =
        book.drawn(static_cast<uint64_t>(steps) * labels.size() + i);
    std::ranges::copy(book.features(sample),
                      features.begin() + static_cast<ptrdiff_t>(i * size));
    labels[i] = book.label(sample);
  }
}

// Between two kernel calls. Without a reason to rest it takes no lock.
void BackgroundTraining::Impl::look() {
  if (Clock::now() - last_look < kLeastSlice) return;
  const double slice_us = thread_cpu_us() - slice_began_us;
  longest_slice_us = std::max(longest_slice_us.load(), slice_us);
  if (paused || pressed())
    (void)caller.run([this] {
      std::unique_lock lock(mutex);
      rest(lock);
      return ft::ok_status();
    });
  last_look = Clock::now();
  slice_began_us = thread_cpu_us();
}

// Waits while others want the cores, or the caller wants it to.
void BackgroundTraining::Impl::rest(std::unique_lock<std::mutex>& lock) {
  while (!stopping) {
    if (paused) {
      enter(State::kPaused);
      changed.wait(lock, [&] { return stopping || !paused; });
    } else if (pressed()) {
      enter(State::kPressed);
      changed.wait_for(lock, kPressureAge, [&] { return stopping.load(); });
    } else {
      if (progress.state != State::kTraining) enter(State::kTraining);
      return;
    }
  }
}

bool BackgroundTraining::Impl::pressed() {
  if (options.max_pressure_percent >= 100) return false;
  const auto now = Clock::now();
  if (now - last_pressure < kPressureAge) return is_pressed;
  last_pressure = now;
  return is_pressed =
             ft::cpu_pressure().value_or(0) > options.max_pressure_percent;
}

Status BackgroundTraining::Impl::step() {
  FT_TRY(loss, training.step(features, labels));
  steps = training.steps_done();
  return ft::ok_status();
}

BackgroundTraining::BackgroundTraining(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
BackgroundTraining::BackgroundTraining(BackgroundTraining&&) noexcept = default;
BackgroundTraining& BackgroundTraining::operator=(
    BackgroundTraining&&) noexcept = default;
BackgroundTraining::~BackgroundTraining() = default;

Result<BackgroundTraining> BackgroundTraining::start(
    Runtime& runtime, const std::string& model_path,
    const BackgroundOptions& options) {
  FT_TRY_STATUS(check_options(options));
  FT_TRY(Training training, Training::create(model_path, options.training));
  auto impl =
      std::make_unique<Impl>(runtime, model_path, options, std::move(training));
  FT_TRY_STATUS(impl->prepare());
  FT_TRY_STATUS(impl->start());
  return BackgroundTraining(std::move(impl));
}

Status BackgroundTraining::add_sample(std::span<const float> features,
                                      int32_t label) {
  Impl& self = *impl_;
  const std::lock_guard lock(self.mutex);
  if (features.size() != self.training.feature_size())
    return ft::usage_error(fmt::format("{} features, the model takes {}",
                                       features.size(),
                                       self.training.feature_size()));
  if (label < 0 || static_cast<size_t>(label) >= self.classes)
    return ft::usage_error(fmt::format("label {}: the model knows {} classes",
                                       label, self.classes));
  self.book.add(features, label);
  self.progress.samples = self.book.size();
  self.progress.held_back = self.book.held_back().size();
  self.changed.notify_all();
  return ft::ok_status();
}

void BackgroundTraining::pause() { impl_->paused = true; }

void BackgroundTraining::resume() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->paused = false;
  }
  impl_->changed.notify_all();
}

Status BackgroundTraining::stop() { return impl_->stop(); }

BackgroundProgress BackgroundTraining::progress() const {
  const std::lock_guard lock(impl_->mutex);
  BackgroundProgress now = impl_->progress;
  now.loss = impl_->loss;
  now.saved_steps = impl_->saved_steps;  // before the steps: never above
  now.steps = impl_->steps;
  now.longest_slice_us = impl_->longest_slice_us;
  now.is_idle_class = impl_->is_idle_class;
  return now;
}

void BackgroundTraining::wait() {
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait(lock, [&] {
    return impl_->ended ||
           (impl_->progress.state == State::kWaiting && !impl_->enough());
  });
}

}  // namespace fieldtune
