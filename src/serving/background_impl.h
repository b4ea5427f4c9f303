// What a BackgroundTraining consists of: the state that its callers share with
// the thread that learns, and what the two threads behind it do.
//
// The idle thread computes. All that others could wait for is done by an
// ordinary one, `caller`, for which the idle one waits (decision 033).
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "adapters/trust/signature.h"
#include "fieldtune/background_training.h"
#include "serving/ordinary_thread.h"
#include "serving/sample_book.h"

namespace fieldtune {

struct BackgroundTraining::Impl {
  Impl(Runtime& r, std::string model, BackgroundOptions o, Training t)
      : runtime(r),
        model_path(std::move(model)),
        options(std::move(o)),
        training(std::move(t)),
        book(training.feature_size(), options.held_back,
             options.training.seed) {}
  ~Impl() { (void)stop(); }

  std::string file_of(int v) const;
  Status prepare();
  Status start();
  Status stop();
  void work() {
    end(ft::without_throwing([this] { return learn(); }));
  }

  // Enough samples for a step; under the lock.
  bool enough() const {
    return book.to_learn().size() >= labels.size() &&
           book.held_back().size() >=
               std::max<size_t>(options.least_held_back, 1);
  }

  // Of the idle thread, which has the others done by the caller's.
  Status learn();
  Result<bool> next_batch();
  void look();
  bool pressed();
  Status step();
  void end(Status status);
  // What a candidate is compared with: what the name stands for; where it
  // stands for nothing the base alone, or, where that answers other classes,
  // the adapter before its first step.
  struct Serving {
    enum class Kind : uint8_t { kUntrained, kBase, kNamed };
    Kind kind = Kind::kUntrained;
    std::string fingerprint = {};  // of the named one
    bool operator==(const Serving&) const = default;
  };
  Status consider();
  Status decide(std::vector<bool> right);
  void refuse(const std::string& why);
  Result<Serving> what_serves();
  using Answer = std::function<Result<size_t>(std::span<const float>)>;
  Status judge(std::vector<bool>& right, const Answer& answer_to);
  Result<size_t> own_answer(std::span<const float> sample);
  Result<size_t> answer_of(const std::string& name,
                           std::span<const float> sample);
  Result<size_t> untrained_answer(std::span<const float> sample);
  Status judge_serving();
  Result<std::string> try_out(const std::string& file);
  Status publish();
  Status save();
  void save_if_due(bool last);
  Result<std::vector<std::byte>> version_bytes(int v,
                                               const std::string& parent);
  Result<bool> is_the_newest();
  Result<std::string> write_version();
  template <class Change>
  void change(const Change& make);

  // By the caller's thread, under the lock.
  void wait_for_samples(std::unique_lock<std::mutex>& lock);
  void rest(std::unique_lock<std::mutex>& lock);
  void draw_batch();
  void enter(BackgroundProgress::State state);

  Runtime& runtime;
  const std::string model_path;
  const BackgroundOptions options;
  Training training;
  size_t classes = 0;
  int version = 0;
  std::string parent_sha256;  // of the version before
  // The file of `version` that was there at the start, until the first
  // publication: maybe of a process that did not live to publish it.
  std::vector<std::byte> newest;
  std::optional<ft::SigningKey> signing_key;
  bool base_has_our_classes = false;
  // What served at the last look, and of the samples held back, in their order,
  // which ones that is right about.
  Serving serving;
  std::vector<bool> serving_right;
  // While one that went on from a checkpoint answers as before its first step.
  std::optional<Training> untrained;
  std::vector<float> features, answer;  // of a step, of an inference
  std::vector<int32_t> labels;
  std::chrono::steady_clock::time_point last_look = {}, last_pressure = {},
                                        last_save = {};  // or its attempt
  std::string checkpoint_problem;
  double slice_began_us = 0;
  bool is_pressed = false;

  std::atomic<bool> stopping{false}, paused{false};
  std::atomic<double> longest_slice_us{0}, loss{0};
  std::atomic<int64_t> steps{0}, saved_steps{0};
  std::atomic<bool> is_idle_class{false};
  // Of all below. The idle thread never locks it, and never waits for what
  // others notify: whoever calls would wait with it for a core.
  mutable std::mutex mutex;
  std::condition_variable changed;
  ft::SampleBook book;
  BackgroundProgress progress;
  bool ended = false;
  Status result = ft::ok_status();  // of the thread
  // Calls the runtime and locks the mutex for the idle thread.
  ft::OrdinaryThread caller;
  std::mutex stopping_mutex;  // of who joins the thread
  std::thread thread;
};

// Has it done under the lock by a thread that gets a core.
template <class Change>
void BackgroundTraining::Impl::change(const Change& make) {
  (void)caller.run([&] {
    const std::lock_guard lock(mutex);
    make();
    return ft::ok_status();
  });
}

}  // namespace fieldtune
