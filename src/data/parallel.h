// Runs independent work items on a few threads.
//
// Results cannot depend on the thread count as long as item i writes only its
// own outputs: which thread takes an item is left open.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace ft {

// Calls fn(item, worker) once for each item in [0, items); worker is in
// [0, threads) and names per-thread scratch. Returns when all are done.
template <class Fn>
void parallel_for(size_t items, size_t threads, const Fn& fn) {
  threads = std::clamp<size_t>(threads, 1, std::max<size_t>(items, 1));
  std::atomic<size_t> next{0};
  const auto work = [&](size_t worker) {
    for (size_t i = next++; i < items; i = next++) fn(i, worker);
  };
  std::vector<std::thread> pool;
  for (size_t worker = 1; worker < threads; ++worker)
    pool.emplace_back(work, worker);
  work(0);
  for (std::thread& thread : pool) thread.join();
}

}  // namespace ft
