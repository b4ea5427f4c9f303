// The nodes of a training step that give layers their ranks (method adalora):
// scores beside the gradients, one allocation over all layers, and singular
// values that go. Everything is planned; the schedule's count of updates is a
// state of the step, so that resuming continues it.
#pragma once

#include <functional>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "methods/method.h"

namespace ft {

class RankAllocator {
 public:
  // Appends the update of a parameter by its gradient.
  using Update = std::function<Status(Graph&, ValueId param, ValueId grad)>;

  // `ranks` must outlive the object; without triplets it does nothing.
  RankAllocator(const RankAllocation& ranks, ValueId hyper);

  bool owns(ValueId param) const;
  // A parameter of a triplet with its finished gradient. A and B are updated
  // once the score, which reads them, stands; E waits for finish().
  Status ready(Graph& graph, ValueId param, ValueId grad, const Update& update);
  Status finish(Graph& graph, const Update& update);

 private:
  struct Grads {
    ValueId a = kNone, b = kNone, e = kNone;
    ValueId score = kNone;
  };
  Status append_score(Graph& graph, const RankTriplet& t, Grads& g);

  const RankAllocation& ranks_;
  ValueId hyper_;
  ValueId steps_ = kNone;     // updates done
  std::vector<Grads> grads_;  // of ranks_.triplets
};

}  // namespace ft
