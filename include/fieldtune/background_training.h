// Training beside inference: an adapter learns from samples as they come while
// a Runtime answers, on cores that nobody else wants, and takes its place there
// when it has proved better.
//
//   FT_TRY(auto background, fieldtune::BackgroundTraining::start(
//       runtime, "kws.tflite", {.training = {.classes = {"up", "down"},
//                                            .total_steps = 4000},
//                               .name = "mine", .folder = "adapters"}));
//   FT_TRY_STATUS(background.add_sample(features, 1));   // whenever there is
//   one
//   ...
//   background.stop();
//
// One thread learns, of the scheduling class SCHED_IDLE: it runs when no thread
// of any other class wants its core. It takes no lock of the runtime: what it
// has to say there is said by a second thread of the ordinary class, so that an
// inference never waits for one that waits for a core. Between two kernel calls
// it looks whether it is to pause or stop, so a slice is at most one kernel
// call. Where the kernel tells of CPU pressure (/proc/pressure/cpu) training
// pauses while there is more of it than `max_pressure_percent`.
//
// A part of the samples is held back. Every `publish_every` steps the adapter
// answers them; if it is right at least `least_gain` more often than what
// `name` stands for in the runtime, it is written whole and published: runs
// that begin from then on use it. Where the name stands for nothing, the base
// alone is what serves (the adapter before its first step where the base
// answers other classes). It looks at that anew for each candidate, and once
// more before one is published: where another adapter came to serve meanwhile,
// by a rollback or a promotion, the candidate is compared with that one.
// Its metadata say `name`, `version` and, of all but the first,
// `parent_sha256`.
//
// All functions may be called by any number of threads at once. The runtime
// must outlive the training and stay where it is: it must not be moved from.
// `on_published` must not call stop(), which waits for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fieldtune/fieldtune.h"
#include "fieldtune/runtime.h"

namespace fieldtune {

struct BackgroundOptions {
  TrainingOptions training = {};  // of a classifier

  std::string name;            // in the runtime
  std::string folder;          // where its versions are written; exists
  int64_t publish_every = 50;  // steps
  double least_gain = 0;       // in accuracy, 0 to 1; 0: as good is enough
  // Signs every version (a file of `fieldtune keys`); empty: unsigned, which a
  // runtime with a policy may refuse.
  std::string signing_key;
  bool activate = false;  // a published version becomes the active one
  // Called with each version's file when the runtime has it, by a thread of the
  // ordinary class; where it fails, training ends. Where the process dies
  // between the call and the checkpoint, the next one calls it with the same
  // file again. Empty: nothing is.
  std::function<Status(const std::string& file)> on_published = {};
  int versions_before = 0;  // the first version is above this
  // Called whenever the guard looks what serves, by a thread of the ordinary
  // class: where others decide that, in a store or in another process, it lets
  // `name` stand for it in the runtime, by add() or remove(). Where it fails
  // nothing is published this time, and `message` says why. Empty: nothing is.
  std::function<Status()> before_guard = {};

  double held_back = 0.2;      // share of the samples; above 0, below 1
  size_t least_held_back = 4;  // samples, before the first step

  bool idle_class = true;             // false: as any other thread
  std::vector<int> cpus = {};         // that it may run on; empty: all
  double max_pressure_percent = 100;  // 100: whatever the pressure
  // Of the state, gone on from at start(); empty: none. Written at stop(),
  // after each publication and the last step, and after the first step that
  // ends `checkpoint_seconds` or more after the one before: what a kill takes
  // is made again, to the same bits. Where that fails training goes on without.
  std::string checkpoint = {};
  double checkpoint_seconds = 30;  // 0: after every step
};

struct BackgroundProgress {
  enum class State : uint8_t {
    kWaiting,  // for samples
    kTraining,
    kPaused,    // by pause()
    kPressed,   // others need the cores
    kFinished,  // all steps are done
    kFailed,    // see `message`
  };
  State state = State::kWaiting;
  size_t samples = 0, held_back = 0;
  int64_t steps = 0, total_steps = 0;
  int64_t saved_steps = 0;         // in the checkpoint
  std::string checkpoint_problem;  // why the last one could not be written
  double loss = 0;                 // of the last step
  int versions = 0, refused = 0;   // published, and kept back by the guard
  // Shares of right answers to what is held back: of the version that serves,
  // and of the last that asked to.
  double serving_accuracy = 0, candidate_accuracy = 0;
  std::string file;             // of the last version
  double longest_slice_us = 0;  // time between two looks at whether to go on
  bool is_idle_class = false;   // the system took SCHED_IDLE
  std::string message;          // why it failed, or what was not published
};

class BackgroundTraining {
 public:
  // Compiles the step and starts the thread. Fails as Training::create() does;
  // with kUsage on options out of their range and on a model that is no
  // classifier; with kIo where the folder cannot be written to or `cpus` names
  // none of this machine's.
  static Result<BackgroundTraining> start(Runtime& runtime,
                                          const std::string& model_path,
                                          const BackgroundOptions& options);
  BackgroundTraining(BackgroundTraining&&) noexcept;
  BackgroundTraining& operator=(BackgroundTraining&&) noexcept;
  ~BackgroundTraining();  // stops

  // One sample, as Training::step() takes it. Fails with kUsage on another
  // number of features or a label that the model does not know.
  Status add_sample(std::span<const float> features, int32_t label);

  void pause();  // returns at once; the thread rests after its slice
  void resume();
  // Returns when the thread has ended; a step under way is finished. Fails
  // where the checkpoint cannot be written.
  Status stop();

  BackgroundProgress progress() const;
  // Returns when it waits for samples, has finished or failed, or was stopped.
  void wait();

 private:
  struct Impl;
  explicit BackgroundTraining(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fieldtune
