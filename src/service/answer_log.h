// The last predictions, by their ids, so that a right answer can be told later.
// Thread-safe; a ring of fixed size.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "fieldtune/experiment.h"

namespace ft::service {

struct GivenAnswer {
  std::string adapter;
  int64_t version = 0;
  int64_t found = 0;  // class of the answer
  // Of a request that an experiment gave an arm.
  std::optional<fieldtune::Assignment> arm = {};
};

class AnswerLog {
 public:
  // Ids begin with random digits of this process: an id of an earlier one is
  // unknown, not another's.
  explicit AnswerLog(size_t size);

  std::string add(GivenAnswer answer);
  // kUsage where the id is unknown, too old, or was judged before.
  Result<GivenAnswer> take(const std::string& id);

 private:
  struct Row {
    uint64_t number = 0;  // 0: nothing, or judged
    GivenAnswer answer = {};
  };
  const std::string prefix_;
  std::mutex mutex_;
  uint64_t next_ = 1;
  std::vector<Row> rows_;
};

}  // namespace ft::service
