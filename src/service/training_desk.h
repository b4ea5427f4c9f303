// The one background training of a service: starts and ends it, hands it
// samples, and puts what it publishes on the shelf.
//
// A version goes to the shelf when the training's guard has passed it, and
// requests get it by the shelf's rules. One that the shelf does not take stays
// a file of the work folder; `problem` says why and training goes on.
//
// Thread-safe. Runtime and book must outlive it.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "fieldtune/background_training.h"
#include "service/adapter_book.h"
#include "service/reply.h"

namespace ft::service {

struct DeskOptions {
  std::string model;
  std::string work;  // folder of versions and checkpoints; empty: no training
  std::string signing_key;
  size_t max_samples = 100000, ram_bytes = SIZE_MAX;
  bool idle_class = true;
  size_t features = 0, answers = 0;  // of the model
};

// The label by its number, or by its class's name.
struct LabeledSample {
  std::vector<float> features;
  int64_t label = -1;
  std::string word = {};
};

struct TrainingStart {
  fieldtune::BackgroundOptions background = {};  // without folder and hooks
  bool confirm = true;  // versions, where the shelf has slots
  bool use = false;     // make the adapter the one of requests without name
  bool fresh = false;   // not from the checkpoint
};

struct TrainingNow {
  bool running = false;
  bool ending = false;  // was told to; its last step and checkpoint are awaited
  std::string adapter = {}, problem = {};
  fieldtune::BackgroundProgress progress = {};
};

class TrainingDesk {
 public:
  TrainingDesk(fieldtune::Runtime& runtime, AdapterBook& book,
               DeskOptions options)
      : runtime_(runtime), book_(book), options_(std::move(options)) {}
  TrainingDesk(TrainingDesk&&) = delete;
  ~TrainingDesk() { (void)stop(); }

  // Replies of success are what now() says, as JSON.
  Reply start(TrainingStart start);
  // All of them or none.
  Reply add_samples(std::vector<LabeledSample> samples);
  Reply pause();
  Reply resume();
  Reply end();
  // Ends with a checkpoint; ok where nothing runs.
  Status stop();
  TrainingNow now() const;

 private:
  Status published(const TrainingStart& start, const std::string& file);
  Status prepare(TrainingStart& start);
  // Both under the lock.
  TrainingNow look() const;
  Status check_sample(LabeledSample& sample) const;
  void tell(const std::string& problem);

  fieldtune::Runtime& runtime_;
  AdapterBook& book_;
  const DeskOptions options_;
  std::mutex ending_mutex_;   // of who ends the training; before the other
  mutable std::mutex mutex_;  // of all below but the problem
  std::shared_ptr<fieldtune::BackgroundTraining> training_;
  bool is_ending_ = false;
  std::vector<std::string> classes_;
  TrainingNow last_;                  // of what ended, or the name of what runs
  mutable std::mutex problem_mutex_;  // publishing takes no other
  std::string problem_, last_file_;
};

Json fields_of(const TrainingNow& now);
const char* name_of(fieldtune::BackgroundProgress::State state);

}  // namespace ft::service
