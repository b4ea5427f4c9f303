#include "plan/order_search.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>
#include <queue>
#include <unordered_set>

namespace ft {
namespace {

using Done = std::vector<bool>;

size_t at(int id) { return static_cast<size_t>(id); }

// What is alive after some operations, kept up one operation at a time.
class Alive {
 public:
  explicit Alive(const OrderProblem& problem)
      : problem_(problem),
        done_(problem.operations.size(), false),
        readers_(problem.buffers.size(), 0),
        waits_(problem.operations.size(), 0) {
    after_.resize(problem.operations.size());
    for (size_t op = 0; op < problem.operations.size(); ++op) {
      for (const int b : problem.operations[op].reads) ++readers_[at(b)];
      waits_[op] = static_cast<int>(problem.operations[op].before.size());
      for (const int b : problem.operations[op].before)
        after_[at(b)].push_back(static_cast<int>(op));
      if (waits_[op] == 0) ready_.push_back(static_cast<int>(op));
    }
    for (size_t b = 0; b < problem.buffers.size(); ++b)
      if (problem.buffers[b].from_start &&
          (readers_[b] > 0 || problem.buffers[b].to_end))
        bytes_ += problem.buffers[b].bytes;
    first_readers_ = readers_;
    first_waits_ = waits_;
    first_ready_ = ready_;
    first_bytes_ = bytes_;
  }

  void restart() {
    std::fill(done_.begin(), done_.end(), false);
    readers_ = first_readers_;
    waits_ = first_waits_;
    ready_ = first_ready_;
    bytes_ = first_bytes_;
  }

  size_t bytes() const { return bytes_; }
  const Done& done() const { return done_; }
  // Of buffers and operations so far, as a measure of work.
  int64_t visits() const { return visits_; }
  const std::vector<int>& ready() const { return ready_; }

  // Bytes alive while `op` runs.
  size_t during(int op) const {
    const OrderProblem::Operation& o = problem_.operations[at(op)];
    size_t bytes = bytes_ + made(o);
    if (o.over >= 0 && dies(o.over)) bytes -= o.saves;
    return bytes;
  }

  // Bytes alive behind `op`.
  size_t behind(int op) const {
    const OrderProblem::Operation& o = problem_.operations[at(op)];
    visits_ += static_cast<int64_t>(o.reads.size() + o.makes.size()) + 1;
    size_t bytes = bytes_ + made(o);
    for (const int b : o.reads)
      if (dies(b)) bytes -= size_of(b);
    for (const int b : o.makes)
      if (readers_[at(b)] == 0 && !problem_.buffers[at(b)].to_end)
        bytes -= size_of(b);
    return bytes;
  }

  void run(int op) {
    bytes_ = behind(op);
    done_[at(op)] = true;
    ready_.erase(std::ranges::find(ready_, op));
    for (const int b : problem_.operations[at(op)].reads) --readers_[at(b)];
    for (const int next : after_[at(op)])
      if (--waits_[at(next)] == 0) ready_.push_back(next);
  }

 private:
  size_t size_of(int b) const { return problem_.buffers[at(b)].bytes; }
  bool dies(int b) const {
    return readers_[at(b)] == 1 && !problem_.buffers[at(b)].to_end;
  }
  size_t made(const OrderProblem::Operation& o) const {
    size_t bytes = 0;
    for (const int b : o.makes)
      if (!problem_.buffers[at(b)].from_start) bytes += size_of(b);
    return bytes;
  }

  const OrderProblem& problem_;
  Done done_;
  std::vector<int> readers_;  // not done yet, by buffer
  std::vector<int> waits_;    // operations before it that are not done
  std::vector<int> ready_;
  std::vector<std::vector<int>> after_;
  size_t bytes_ = 0;
  std::vector<int> first_readers_, first_waits_, first_ready_;
  size_t first_bytes_ = 0;
  mutable int64_t visits_ = 0;
};

// Does what costs nothing within `peak`, and adds it to `order`.
void run_free(Alive& alive, size_t peak, std::vector<int>& order) {
  for (bool again = true; again;) {
    again = false;
    for (const int op : alive.ready())
      if (alive.during(op) <= peak && alive.behind(op) <= alive.bytes()) {
        alive.run(op);
        order.push_back(op);
        again = true;
        break;  // `ready` has changed
      }
  }
}

// Whatever needs the fewest bytes next, of those what leaves the fewest.
std::vector<int> greedy_order(const OrderProblem& problem) {
  Alive alive(problem);
  std::vector<int> order;
  size_t peak = alive.bytes();
  while (run_free(alive, peak, order), !alive.ready().empty()) {
    const int next = *std::ranges::min_element(alive.ready(), {}, [&](int op) {
      return std::tuple(alive.during(op), alive.behind(op), op);
    });
    peak = std::max(peak, alive.during(next));
    alive.run(next);
    order.push_back(next);
  }
  return order;
}

class Search {
 public:
  Search(const OrderProblem& problem, int64_t work, OperationOrder& best)
      : problem_(problem), alive_(problem), work_(work), best_(best) {
    for (const OrderProblem::Operation& o : problem.operations)
      restart_ += static_cast<int64_t>(o.reads.size() + o.before.size()) + 1;
  }

  void run() {
    push(nullptr, kStart, 0);
    while (!queue_.empty()) {
      const State* state = queue_.top().state;
      queue_.pop();
      best_.proven_bytes = std::max(best_.proven_bytes, state->peak);
      if (state->peak >= best_.peak_bytes) {
        best_.proven_bytes = best_.peak_bytes;
        return;
      }
      if (alive_.visits() + restarts_ * restart_ > work_) return;
      ++restarts_;
      if (expand(*state)) return;
    }
    best_.proven_bytes = best_.peak_bytes;
  }

 private:
  static constexpr int kStart = -1;
  struct State {
    const State* from;
    int op;  // done behind `from`, and then what was free
    size_t peak, depth;
  };
  struct Entry {
    const State* state;
    size_t number;  // later ones first: deep before broad
    bool operator<(const Entry& b) const {
      if (state->peak != b.state->peak) return state->peak > b.state->peak;
      if (state->depth != b.state->depth) return state->depth < b.state->depth;
      return number < b.number;
    }
  };

  // Repeats the way to a state, with what was free at each of its steps.
  std::vector<int> replay(const State& state) {
    std::vector<const State*> way;
    for (const State* s = &state; s != nullptr; s = s->from) way.push_back(s);
    alive_.restart();
    std::vector<int> order;
    for (auto s = way.rbegin(); s != way.rend(); ++s) {
      if ((*s)->op != kStart) {
        alive_.run((*s)->op);
        order.push_back((*s)->op);
      }
      run_free(alive_, (*s)->peak, order);
    }
    return order;
  }

  bool expand(const State& state) {
    std::vector<int> order = replay(state);
    if (!seen_.insert(alive_.done()).second) return false;
    if (alive_.ready().empty()) {
      best_.order = std::move(order);
      best_.peak_bytes = best_.proven_bytes = state.peak;
      return true;
    }
    for (const int op : alive_.ready()) {
      const size_t peak = std::max(state.peak, alive_.during(op));
      if (peak < best_.peak_bytes) push(&state, op, peak, order.size());
    }
    return false;
  }

  void push(const State* from, int op, size_t peak, size_t depth = 0) {
    if (op == kStart) peak = alive_.bytes();
    states_.push_back(std::make_unique<State>(State{from, op, peak, depth}));
    queue_.push({states_.back().get(), states_.size()});
  }

  const OrderProblem& problem_;
  Alive alive_;
  const int64_t work_;
  int64_t restart_ = 0, restarts_ = 0;  // what one takes; how many
  OperationOrder& best_;
  std::vector<std::unique_ptr<State>> states_;
  std::priority_queue<Entry> queue_;
  std::unordered_set<Done> seen_;
};

}  // namespace

size_t peak_bytes(const OrderProblem& problem, const std::vector<int>& order) {
  Alive alive(problem);
  size_t peak = alive.bytes();
  for (const int op : order) {
    peak = std::max(peak, alive.during(op));
    alive.run(op);
  }
  return peak;
}

OperationOrder find_order(const OrderProblem& problem, int64_t work) {
  OperationOrder best;
  best.order.resize(problem.operations.size());
  std::iota(best.order.begin(), best.order.end(), 0);
  best.peak_bytes = peak_bytes(problem, best.order);
  std::vector<int> greedy = greedy_order(problem);
  if (const size_t peak = peak_bytes(problem, greedy); peak < best.peak_bytes) {
    best.order = std::move(greedy);
    best.peak_bytes = peak;
  }
  Search(problem, work, best).run();
  return best;
}

}  // namespace ft
