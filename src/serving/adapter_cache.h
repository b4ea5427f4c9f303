// Adapters that are loaded on demand and kept under a byte budget.
//
// Policy: GreedyDual-Size-Frequency (Cherkasova, "Improving WWW Proxies
// Performance with Greedy-Dual-Size-Frequency Caching Policy", 1998). An
// adapter is worth uses * cost / bytes above the worth of what was evicted
// last; the least worth goes first. Uses are counted over evictions. What is
// pinned, or in use outside of the cache (the active adapter, a running
// inference), is never evicted.
//
// Invariant: bytes that are held, by entries, by evicted adapters that an
// inference still uses, and by files being loaded, never exceed the
// budget; where that cannot be, the load is refused and nothing has changed.
// Thread-safe. A name that several threads ask for is loaded once.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "fieldtune/runtime.h"
#include "serving/served_adapter.h"

namespace ft {

struct CacheStats {
  size_t budget_bytes = 0;
  size_t used_bytes = 0;    // what is held, to the byte
  size_t cached_bytes = 0;  // of it, what the cache would find again
  size_t cached = 0, pinned = 0;
  uint64_t hits = 0, misses = 0, evictions = 0, failures = 0;
};

class AdapterCache {
 public:
  // Loads an adapter without any lock held; charges what it takes by charge().
  using Load = std::function<Result<ServedAdapterPtr>(const std::string& name)>;

  AdapterCache(size_t budget_bytes, Load load)
      : budget_bytes_(budget_bytes), load_(std::move(load)) {}

  // Fails as the load does, or with kDoesNotFit.
  Result<ServedAdapterPtr> get(const std::string& name);
  // The same for later use: counts neither as a use nor as hit or miss.
  Status prefetch(const std::string& name);
  // Loads it and keeps it until as many calls of unpin().
  Status pin(const std::string& name);
  Status unpin(const std::string& name);
  // The next get() loads it anew; who uses it keeps the old one. Pins are
  // gone.
  void forget(const std::string& name);
  // The same for every name for which `is_stale` is true.
  void forget_if(const std::function<bool(const std::string& name)>& is_stale);
  bool holds(const std::string& name) const;
  std::vector<fieldtune::AdapterInMemory> held() const;  // by name

  // Makes room. Fails with kDoesNotFit, saying what holds the budget.
  Result<Charge> charge(size_t bytes);
  CacheStats stats() const;

 private:
  struct Entry {
    ServedAdapterPtr adapter;  // null: not loaded
    double worth = 0;
    uint64_t uses = 0;
    uint64_t version = 0;  // of what is loaded: counts forget()
    int pins = 0;
    int waiting = 0;
    bool loading = false;
  };
  using Entries = std::unordered_map<std::string, Entry>;
  using Lock = std::unique_lock<std::mutex>;

  Result<ServedAdapterPtr> find_or_load(const std::string& name, bool is_use,
                                        int pins);
  Result<ServedAdapterPtr> load(Entries::value_type& named, Lock& lock);
  Result<ServedAdapterPtr> load_guarded(const std::string& name);
  void revalue(Entries::value_type& named);
  void drop(Entries::value_type& named);
  void forget(Entries::iterator at);
  bool evict_one();

  const size_t budget_bytes_;
  const Load load_;
  const std::shared_ptr<ByteLedger> ledger_ = std::make_shared<ByteLedger>();
  mutable std::mutex mutex_;
  std::condition_variable loaded_;
  Entries entries_;
  // Loaded and not pinned, the least worth first.
  std::set<std::pair<double, Entries::value_type*>> by_worth_;
  double floor_ = 0;  // worth of what was evicted last
  uint64_t hits_ = 0, misses_ = 0, evictions_ = 0, failures_ = 0;
};

}  // namespace ft
