// The order of operations that keeps the fewest bytes alive at once.
//
// Pure: knows operations, buffers and who must come before whom; no graph.
// Best first over the sets of operations done so far, by the fewest bytes that
// reaching them takes; an operation that frees at least what it makes is done
// as soon as nothing more is needed for it, which is never worse. Exact while
// the work lasts; then greedy, with the bound that the search has proven.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ft {

struct OrderProblem {
  struct Buffer {
    size_t bytes = 0;
    bool from_start = false;  // alive before the first operation
    bool to_end = false;      // alive behind the last one
  };
  struct Operation {
    std::vector<int> before;        // operations that must be done first
    std::vector<int> reads, makes;  // buffers, each once
    int over = -1;     // one of `reads`: if it dies here, the first of `makes`
    size_t saves = 0;  // may lie over so many of its bytes
  };
  std::vector<Buffer> buffers;
  std::vector<Operation> operations;  // in an order that is possible
};

struct OperationOrder {
  std::vector<int> order;   // operations
  size_t peak_bytes = 0;    // most alive during one of them
  size_t proven_bytes = 0;  // no order has a lower peak
  bool is_optimal() const { return peak_bytes <= proven_bytes; }
};

// Most bytes alive while operations are done in this order.
size_t peak_bytes(const OrderProblem& problem, const std::vector<int>& order);

// The order given is kept where no better one is found. `work`: visits of
// buffers; 1e7 take about 0.1 s. Deterministic.
OperationOrder find_order(const OrderProblem& problem, int64_t work);

}  // namespace ft
