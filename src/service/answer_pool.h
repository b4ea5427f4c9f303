// Threads that answer whole requests, and send what the client takes at once.
// What it does not take goes back: no thread waits for a client.
//
// Nor do all of them wait for a disk or a training: requests that may
// (`may_wait`) have at most half of the threads, rounded up only where there is
// one thread in all.
//
// A request's socket belongs to the pool until it comes back by take_done();
// `wake` (an eventfd) is rung for each.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "service/http_engine.h"

namespace ft::service {

class AnswerPool {
 public:
  struct Job {
    int fd = -1;
    bool is_network = false;
    WholeRequest request = {};
    bool is_last = false;   // the connection ends with the answer
    bool may_wait = false;  // for something else than a core
  };
  struct Done {
    int fd = -1;
    std::string unsent = {};
    bool close = false;
    bool is_gone = false;  // the client
  };

  AnswerPool(HttpEngine& engine, int wake, int threads);
  AnswerPool(AnswerPool&&) = delete;
  ~AnswerPool();  // answers what was added

  void add(Job job);
  std::vector<Done> take_done();

 private:
  struct Numbered {
    uint64_t number;
    Job job;
  };
  void work();
  Done answer(const Job& job) const;
  // Under the lock: the queue whose first request is next, or none.
  std::deque<Numbered>* next();

  HttpEngine& engine_;
  const int wake_;
  const size_t most_waiting_;
  std::mutex mutex_;  // of all below
  std::condition_variable added_;
  std::array<std::deque<Numbered>, 2> jobs_;  // the second: those that may wait
  uint64_t added_jobs_ = 0;
  size_t waiting_ = 0;  // threads with one of those
  std::vector<Done> done_;
  bool ended_ = false;
  std::vector<std::thread> threads_;  // last: use the others
};

}  // namespace ft::service
