// What a service answers, without any network: routes, and what they share.
//
// handle() may be called by any number of threads at once and never fails: a
// request that cannot be answered gets a status above 400 and one sentence, and
// has changed nothing. docs/service.md lists the routes.
#pragma once

#include <memory>
#include <string>

#include "fieldtune/adapter_store.h"
#include "service/http_engine.h"
#include "service/server_load.h"

namespace ft::service {

struct ServiceOptions {
  std::string model;
  std::string store, adapters;  // a store or a folder of files; or neither
  fieldtune::StoreKey key = {};
  std::string policy = {};  // whose adapters are taken; empty: anyone's
  size_t adapter_budget_bytes = SIZE_MAX;
  bool exact = false;
  int sequence_length = 0;
  std::string adapter_mode = "side";  // as in RuntimeOptions
  std::string active = {};  // answers requests that name none; empty: the base
  std::string work = {};    // folder of trainings; empty: none
  std::string signing_key = {};
  size_t max_samples = 100000;
  bool keep_samples = true;     // on disk, in `work`, encrypted with `key`
  bool resume_training = true;  // that ran when the service before this ended
  double checkpoint_seconds = 30;  // between two of a training's; 0: every step
  size_t training_ram_bytes = SIZE_MAX;  // of a training's step
  bool idle_training = true;  // false: with the priority of any thread
  int watch_ms = 500;         // between two looks at the store; 0: none
  int mark_ms = 60000;  // between telling the store which versions answered
  std::shared_ptr<const ServerLoad> load = {};  // of the server, to be shown
};

class Service {
 public:
  static Result<std::unique_ptr<Service>> open(const ServiceOptions& options);
  Service(Service&&) = delete;
  ~Service();

  Reply handle(const Call& call);
  // Ends a training with its checkpoint, and tells the store which versions
  // answered. Answers go on.
  Status stop();

 private:
  struct Impl;
  explicit Service(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ft::service
