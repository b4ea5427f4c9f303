// The one background training of a service: starts and ends it, hands it
// samples, and puts what it publishes on the shelf.
//
// A version goes to the shelf when the training's guard has passed it, and
// requests get it by the shelf's rules. One that the shelf does not take stays
// a file of the work folder; `problem` says why and training goes on.
//
// Samples are on disk before they are answered, and given to the next training
// of that adapter before its first step; see sample_file.h.
//
// Thread-safe. Runtime and book must outlive it.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/writer_lock.h"
#include "fieldtune/background_training.h"
#include "service/adapter_book.h"
#include "service/reply.h"
#include "service/sample_file.h"

namespace ft::service {

struct DeskOptions {
  std::string model;
  std::string work;  // folder of versions and checkpoints; empty: no training
  std::string signing_key;
  size_t max_samples = 100000, ram_bytes = SIZE_MAX;
  bool idle_class = true;
  double checkpoint_seconds = 30;    // as in BackgroundOptions
  size_t features = 0, answers = 0;  // of the model
  bool keep_samples = true;          // on disk; false: in memory alone
  std::string base_sha256 = {};      // of the model
  fieldtune::StoreKey key = {};      // encrypts what is kept
};

struct TrainingStart {
  fieldtune::BackgroundOptions background = {};  // without folder and hooks
  bool confirm = true;  // versions, where the shelf has slots
  bool use = false;     // make the adapter the one of requests without name
  bool fresh = false;   // not from the checkpoint
  Json request = {};    // what was asked, for going on after a restart
  bool resumed = false, paused = false;  // after one
};

struct TrainingNow {
  bool running = false;
  bool starting = false;  // its step is compiled, its samples are read
  bool ending = false;  // was told to; its last step and checkpoint are awaited
  bool resumed = false;  // by the service itself, after a restart
  std::string adapter = {}, problem = {};
  size_t kept_samples = 0;  // of its samples, on disk
  fieldtune::BackgroundProgress progress = {};
};

class TrainingDesk {
 public:
  TrainingDesk(fieldtune::Runtime& runtime, AdapterBook& book,
               DeskOptions options)
      : runtime_(runtime), book_(book), options_(std::move(options)) {}
  TrainingDesk(TrainingDesk&&) = delete;
  ~TrainingDesk() { (void)stop(); }

  // Replies of success are what now() says, as JSON. Who starts what the
  // service has resumed by itself is told so; anything else has to be stopped
  // before.
  Reply start(TrainingStart start);
  // All of them or none.
  Reply add_samples(std::vector<LabeledSample> samples);
  // What is on disk, by adapter.
  Result<std::vector<KeptSamples>> kept_samples() const;
  // Not while a training has them.
  Reply delete_samples(const std::string& adapter);
  Reply pause();
  Reply resume();
  Reply end();
  // Ends with a checkpoint; ok where nothing runs. Unlike after end(), the next
  // service goes on with it.
  Status stop();
  // Why nothing was gone on with.
  void tell(const std::string& problem);
  TrainingNow now() const;

 private:
  Status published(const TrainingStart& start, const std::string& file);
  Status prepare(TrainingStart& start);
  Status compare_with_active(const std::string& name);
  // What there is to say where another one runs.
  std::optional<Reply> taken(const TrainingStart& start) const;
  // Under both locks of who ends it and of samples.
  Reply begin(TrainingStart start);
  Status stop_alone();
  Reply set_paused(bool paused);
  Status open_samples(const TrainingStart& start);
  Result<fieldtune::BackgroundTraining> start_afresh_or_on(
      const TrainingStart& start);
  Status give_kept(fieldtune::BackgroundTraining& training);
  void close_samples();
  // Both under the lock.
  TrainingNow look() const;
  Status check_sample(LabeledSample& sample) const;

  fieldtune::Runtime& runtime_;
  AdapterBook& book_;
  const DeskOptions options_;
  // Locked in this order.
  std::mutex ending_mutex_;  // of who starts or ends the training
  // Of this service while it trains: two would mix their checkpoints and
  // records. By who holds the mutex.
  std::optional<WriterLock> work_lock_;
  std::mutex record_mutex_;  // of the record of what is wanted
  // Of the file, and of the order in which samples come; held while the disk
  // takes them, which nobody else waits for.
  mutable std::mutex samples_mutex_;
  std::optional<SampleFile> samples_;
  mutable std::mutex mutex_;  // of all below but the problem
  std::shared_ptr<fieldtune::BackgroundTraining> training_;
  bool is_ending_ = false;
  std::string starting_;  // the name of what is being started
  Json request_;          // of what runs
  std::vector<std::string> classes_;
  TrainingNow last_;                  // of what ended, or the name of what runs
  mutable std::mutex problem_mutex_;  // publishing takes no other
  std::string problem_, last_file_;
  // Key of the version that the training's name in the runtime stands for, ""
  // for none; of who prepares a training, then of its thread that publishes.
  std::optional<std::string> compared_;
};

Reply nothing_runs();
Json fields_of(const TrainingNow& now);
const char* name_of(fieldtune::BackgroundProgress::State state);

}  // namespace ft::service
