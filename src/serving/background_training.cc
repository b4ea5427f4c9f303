#include "fieldtune/background_training.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "adapters/trust/signature.h"
#include "base/file.h"
#include "base/hash.h"
#include "serving/idle_thread.h"
#include "serving/ordinary_thread.h"
#include "serving/sample_book.h"

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

double share(const std::vector<bool>& right) {
  return right.empty() ? 0
                       : static_cast<double>(std::ranges::count(right, true)) /
                             static_cast<double>(right.size());
}

}  // namespace

struct BackgroundTraining::Impl {
  Impl(Runtime& r, BackgroundOptions o, Training t)
      : runtime(r),
        options(std::move(o)),
        training(std::move(t)),
        book(training.feature_size(), options.held_back,
             options.training.seed) {}
  ~Impl() { (void)stop(); }

  std::string file_of(int v) const;
  Status prepare();
  Status start();
  Status stop();
  void work();

  // Enough samples for a step; under the lock.
  bool enough() const {
    return book.to_learn().size() >= labels.size() &&
           book.held_back().size() >=
               std::max<size_t>(options.least_held_back, 1);
  }

  // Of the thread.
  bool wait_for_samples();
  void look();
  void rest(std::unique_lock<std::mutex>& lock);
  bool pressed();
  Status step();
  Status consider();
  using Answer = std::function<Result<size_t>(std::span<const float>)>;
  Status judge(std::vector<bool>& right, const Answer& answer_to);
  Result<size_t> own_answer(std::span<const float> sample);
  Result<size_t> served_answer(std::span<const float> sample);
  Status try_out(const std::string& file);
  Status publish();
  Status write_version(const std::string& file);
  void enter(State state);

  Runtime& runtime;
  const BackgroundOptions options;
  Training training;
  size_t classes = 0;
  int version = 0;
  std::string parent_sha256;  // of the version before
  std::optional<ft::SigningKey> signing_key;
  // Of the samples held back, in their order: which ones the version that
  // serves is right about.
  std::vector<bool> serving_right;
  bool has_published = false;
  std::vector<float> features, answer;  // of a step, of an inference
  std::vector<int32_t> labels;
  Clock::time_point last_look = {}, last_pressure = {};
  double slice_began_us = 0;
  bool is_pressed = false;

  std::atomic<bool> stopping{false}, paused{false};
  std::atomic<double> longest_slice_us{0};
  mutable std::mutex mutex;  // of all below
  std::condition_variable changed;
  ft::SampleBook book;
  BackgroundProgress progress;
  bool ended = false;
  Status result = ft::ok_status();  // of the thread
  // Calls the runtime.
  ft::OrdinaryThread caller;
  std::thread thread;
};

std::string BackgroundTraining::Impl::file_of(int v) const {
  return fs::path(options.folder) /
         fmt::format("{}-v{}.safetensors", options.name, v);
}

// What does not need the thread.
Status BackgroundTraining::Impl::prepare() {
  if (training.label_size() != 1)
    return ft::usage_error(
        "training in the background needs a model that gives a sample one "
        "label");
  const std::vector<float> nothing(training.feature_size());
  FT_TRY(const auto logits, training.predict(nothing));
  classes = logits.size();
  version = last_version(options.folder, options.name);
  if (version > 0) {
    FT_TRY(const ft::MappedFile last, ft::MappedFile::open(file_of(version)));
    parent_sha256 = ft::sha256_hex(last.bytes());
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
  progress.steps = training.steps_done();
  return ft::ok_status();
}

Status BackgroundTraining::Impl::start() {
  std::promise<Status> ready;
  std::future<Status> placed = ready.get_future();
  thread = std::thread([this, &ready] {
    const Status status = ft::confine_to(options.cpus);
    if (options.idle_class) progress.is_idle_class = ft::become_idle_class();
    const bool good = status.ok();
    ready.set_value(status);
    if (good) work();
  });
  Status status = placed.get();
  if (!status.ok()) thread.join();
  return status;
}

Status BackgroundTraining::Impl::stop() {
  if (!thread.joinable()) return ft::ok_status();
  stopping = true;
  { const std::lock_guard lock(mutex); }
  changed.notify_all();
  thread.join();
  if (!options.checkpoint.empty() && result.ok())
    return training.save_checkpoint(options.checkpoint);
  return ft::ok_status();
}

void BackgroundTraining::Impl::enter(State state) {
  progress.state = state;
  changed.notify_all();
}

void BackgroundTraining::Impl::work() {
  Status status = ft::ok_status();
  while (status.ok() && wait_for_samples()) {
    if (training.steps_done() == 0)
      status = judge(serving_right, [this](auto x) { return own_answer(x); });
    if (status.ok()) status = step();
    const int64_t done = training.steps_done();
    const bool last = done == options.training.total_steps;
    if (status.ok() && (last || done % options.publish_every == 0))
      status = consider();
    if (last) break;
  }
  const std::lock_guard lock(mutex);
  if (!status.ok()) {
    progress.message = status.message();
    progress.state = State::kFailed;
  } else if (training.steps_done() == options.training.total_steps) {
    progress.state = State::kFinished;
  }
  result = std::move(status);
  ended = true;
  changed.notify_all();
}

// Whether to make a step now; false: stop.
bool BackgroundTraining::Impl::wait_for_samples() {
  std::unique_lock lock(mutex);
  while (!stopping && !enough()) {
    enter(State::kWaiting);
    changed.wait(lock, [&] { return stopping || enough(); });
  }
  rest(lock);
  slice_began_us = thread_cpu_us();
  last_look = Clock::now();
  return !stopping && training.steps_done() < options.training.total_steps;
}

// Between two kernel calls. Without a reason to rest it takes no lock.
void BackgroundTraining::Impl::look() {
  if (Clock::now() - last_look < kLeastSlice) return;
  const double slice_us = thread_cpu_us() - slice_began_us;
  longest_slice_us = std::max(longest_slice_us.load(), slice_us);
  if (paused || pressed()) {
    std::unique_lock lock(mutex);
    rest(lock);
  }
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
  {
    const std::lock_guard lock(mutex);
    const size_t size = training.feature_size();
    for (size_t i = 0; i < labels.size(); ++i) {
      const size_t sample = book.drawn(
          static_cast<uint64_t>(training.steps_done()) * labels.size() + i);
      std::ranges::copy(book.features(sample),
                        features.begin() + static_cast<ptrdiff_t>(i * size));
      labels[i] = book.label(sample);
    }
  }
  FT_TRY(const float loss, training.step(features, labels));
  const std::lock_guard lock(mutex);
  progress.loss = loss;
  progress.steps = training.steps_done();
  return ft::ok_status();
}

// Looks at those samples held back that `right` says nothing of yet.
Status BackgroundTraining::Impl::judge(std::vector<bool>& right,
                                       const Answer& answer_to) {
  std::vector<float> sample(training.feature_size());
  for (;;) {
    int32_t label = 0;
    {
      const std::lock_guard lock(mutex);
      if (right.size() >= book.held_back().size()) return ft::ok_status();
      const size_t at = book.held_back()[right.size()];
      std::ranges::copy(book.features(at), sample.begin());
      label = book.label(at);
    }
    FT_TRY(const size_t best, answer_to(sample));
    right.push_back(best == static_cast<size_t>(label));
    look();
  }
}

Result<size_t> BackgroundTraining::Impl::own_answer(
    std::span<const float> sample) {
  FT_TRY(const auto logits, training.predict(sample));
  return static_cast<size_t>(std::ranges::max_element(logits) - logits.begin());
}

// Of what the name stands for in the runtime; one that answers other classes is
// right about nothing.
Result<size_t> BackgroundTraining::Impl::served_answer(
    std::span<const float> sample) {
  FT_TRY_STATUS(caller.run(
      [&] { return runtime.run_with(options.name, sample, answer); }));
  if (answer.size() != classes) return classes;
  return static_cast<size_t>(std::ranges::max_element(answer) - answer.begin());
}

Status BackgroundTraining::Impl::consider() {
  bool serves = false;
  FT_TRY_STATUS(caller.run([&] {
    serves = std::ranges::count(runtime.names(), options.name) > 0;
    return ft::ok_status();
  }));
  // One that somebody else put there.
  if (serves && !has_published) serving_right.clear();
  if (serves) {
    FT_TRY_STATUS(
        judge(serving_right, [this](auto x) { return served_answer(x); }));
    has_published = true;
  }
  std::vector<bool> right;
  FT_TRY_STATUS(judge(right, [this](auto x) { return own_answer(x); }));
  const double candidate = share(right), serving = share(serving_right);
  const bool good = candidate >= serving + options.least_gain;
  {
    const std::lock_guard lock(mutex);
    progress.serving_accuracy = serving;
    progress.candidate_accuracy = candidate;
    if (!good) {
      ++progress.refused;
      progress.message = fmt::format(
          "step {}: right about {:.1f} % of what is held back, what serves "
          "about {:.1f} %: not published",
          training.steps_done(), 100 * candidate, 100 * serving);
    }
  }
  if (!good) return ft::ok_status();
  FT_TRY_STATUS(publish());
  serving_right = std::move(right);
  return ft::ok_status();
}

Status BackgroundTraining::Impl::write_version(const std::string& file) {
  std::map<std::string, std::string> metadata = {
      {"name", options.name}, {"version", fmt::format("{}", version + 1)}};
  if (!parent_sha256.empty()) metadata["parent_sha256"] = parent_sha256;
  FT_TRY(std::vector<std::byte> bytes, training.adapter_bytes(metadata));
  if (signing_key) {
    FT_TRY(bytes, ft::sign_adapter(bytes, *signing_key));
  }
  FT_TRY_STATUS(ft::write_new_file(file, bytes));
  parent_sha256 = ft::sha256_hex(bytes);
  ++version;
  return ft::ok_status();
}

// Loads it under a name of its own: what the runtime refuses takes nobody's
// place.
Status BackgroundTraining::Impl::try_out(const std::string& file) {
  const std::string name = options.name + " (candidate)";
  FT_TRY_STATUS(runtime.add(name, file));
  Status status = runtime.pin(name);
  if (status.ok()) status = runtime.unpin(name);
  FT_TRY_STATUS(runtime.remove(name));
  return status;
}

// The file is whole and signed before it has its name, and the runtime learns
// of it afterwards; it is never written again, by another process neither.
Status BackgroundTraining::Impl::publish() {
  const std::string file = file_of(version + 1);
  FT_TRY_STATUS(write_version(file));
  FT_TRY_STATUS(caller.run([&]() -> Status {
    FT_TRY_STATUS(try_out(file));
    FT_TRY_STATUS(runtime.add(options.name, file));
    if (!options.activate && runtime.active() != options.name)
      return ft::ok_status();
    return runtime.set_active(options.name);
  }));
  if (options.on_published)
    FT_TRY_STATUS(caller.run([&] { return options.on_published(file); }));
  has_published = true;
  if (!options.checkpoint.empty())
    FT_TRY_STATUS(training.save_checkpoint(options.checkpoint));
  const std::lock_guard lock(mutex);
  ++progress.versions;
  progress.file = file;
  progress.serving_accuracy = progress.candidate_accuracy;
  changed.notify_all();
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
  auto impl = std::make_unique<Impl>(runtime, options, std::move(training));
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
  now.longest_slice_us = impl_->longest_slice_us;
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
