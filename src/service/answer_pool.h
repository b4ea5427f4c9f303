// Threads that answer whole requests and write the answers.
//
// A request's socket belongs to the pool until it comes back by take_done();
// `wake` (an eventfd) is rung for each.
#pragma once

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
    WholeRequest request;
    bool is_last = false;
  };
  struct Done {
    int fd = -1;
    bool close = false;
  };

  AnswerPool(HttpEngine& engine, int wake, int threads, int answer_seconds);
  AnswerPool(AnswerPool&&) = delete;
  ~AnswerPool();  // answers what was added

  // `is_last`: the connection ends with the answer.
  void add(Job job, bool is_last);
  std::vector<Done> take_done();

 private:
  void work();
  bool write_all(int fd, std::string_view text) const;

  HttpEngine& engine_;
  const int wake_, answer_seconds_;
  std::mutex mutex_;  // of all below
  std::condition_variable added_;
  std::deque<Job> jobs_;
  std::vector<Done> done_;
  bool ended_ = false;
  std::vector<std::thread> threads_;  // last: use the others
};

}  // namespace ft::service
