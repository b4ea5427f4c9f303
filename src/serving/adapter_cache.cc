#include "serving/adapter_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <new>

namespace ft {
namespace {

// Rounded to a power of two: of two adapters of one kind, the one whose load
// was interrupted for a moment is not worth more.
double cost_of(const ServedAdapter& adapter) {
  return std::exp2(std::round(std::log2(std::max(adapter.load_us, 1.0))));
}

}  // namespace

Result<ServedAdapterPtr> AdapterCache::get(const std::string& name) {
  return find_or_load(name, true, 0);
}

Status AdapterCache::prefetch(const std::string& name) {
  return find_or_load(name, false, 0).status();
}

Status AdapterCache::pin(const std::string& name) {
  return find_or_load(name, false, 1).status();
}

Status AdapterCache::unpin(const std::string& name) {
  const Lock lock(mutex_);
  const auto at = entries_.find(name);
  if (at == entries_.end() || at->second.pins == 0)
    return usage_error(fmt::format("adapter '{}' is not pinned", name));
  --at->second.pins;
  revalue(*at);
  return ok_status();
}

Result<ServedAdapterPtr> AdapterCache::find_or_load(const std::string& name,
                                                    bool is_use, int pins) {
  Lock lock(mutex_);
  auto& named = *entries_.try_emplace(name).first;
  Entry& entry = named.second;
  ++entry.waiting;  // nobody erases it
  while (entry.loading) loaded_.wait(lock);
  const bool found = entry.adapter != nullptr;
  if (is_use) ++(found ? hits_ : misses_);
  entry.uses += is_use ? 1 : 0;
  Result<ServedAdapterPtr> result = entry.adapter;
  if (!found) result = load(named, lock);
  --entry.waiting;
  if (result.ok() && entry.adapter == *result) {
    entry.pins += pins;
    revalue(named);
    return result;
  }
  if (entry.adapter == nullptr && entry.waiting == 0) entries_.erase(name);
  if (result.ok() && pins > 0)
    return usage_error(fmt::format(
        "adapter '{}' was replaced while it was loaded to be pinned", name));
  return result;
}

Result<ServedAdapterPtr> AdapterCache::load(Entries::value_type& named,
                                            Lock& lock) {
  Entry& entry = named.second;
  entry.loading = true;
  const uint64_t version = entry.version;
  lock.unlock();
  Result<ServedAdapterPtr> result = load_guarded(named.first);
  lock.lock();
  entry.loading = false;
  if (!result.ok()) ++failures_;
  // One that was replaced meanwhile serves this request only.
  if (result.ok() && entry.version == version) entry.adapter = *result;
  loaded_.notify_all();
  return result;
}

// Others wait for this load: what throws, a caller's opener or memory that ran
// out, must not leave them waiting.
Result<ServedAdapterPtr> AdapterCache::load_guarded(const std::string& name) {
  try {
    return load_(name);
  } catch (const std::bad_alloc&) {
    return does_not_fit("there is no memory to load adapter '" + name + "'");
  } catch (const std::exception& e) {
    return internal_error(
        fmt::format("loading adapter '{}' threw: {}", name, e.what()));
  } catch (...) {
    return internal_error("loading adapter '" + name + "' threw");
  }
}

void AdapterCache::revalue(Entries::value_type& named) {
  Entry& entry = named.second;
  by_worth_.erase({entry.worth, &named});
  if (entry.adapter == nullptr) return;
  const size_t bytes = std::max<size_t>(entry.adapter->charge.bytes(), 1);
  entry.worth =
      floor_ + static_cast<double>(std::max<uint64_t>(entry.uses, 1)) *
                   cost_of(*entry.adapter) / static_cast<double>(bytes);
  if (entry.pins == 0) by_worth_.insert({entry.worth, &named});
}

void AdapterCache::drop(Entries::value_type& named) {
  by_worth_.erase({named.second.worth, &named});
  named.second.adapter.reset();
}

void AdapterCache::forget(const std::string& name) {
  const Lock lock(mutex_);
  const auto at = entries_.find(name);
  if (at != entries_.end()) forget(at);
}

void AdapterCache::forget_if(
    const std::function<bool(const std::string& name)>& is_stale) {
  const Lock lock(mutex_);
  for (auto at = entries_.begin(); at != entries_.end();) {
    const auto next = std::next(at);
    if (is_stale(at->first)) forget(at);
    at = next;
  }
}

void AdapterCache::forget(Entries::iterator at) {
  drop(*at);
  at->second.pins = 0;
  ++at->second.version;
  if (!at->second.loading && at->second.waiting == 0) entries_.erase(at);
}

bool AdapterCache::holds(const std::string& name) const {
  const Lock lock(mutex_);
  const auto at = entries_.find(name);
  return at != entries_.end() && at->second.adapter != nullptr;
}

std::vector<fieldtune::AdapterInMemory> AdapterCache::held() const {
  std::vector<fieldtune::AdapterInMemory> all;
  {
    const Lock lock(mutex_);
    for (const auto& [name, entry] : entries_)
      if (entry.adapter != nullptr)
        all.push_back({name, entry.adapter->charge.bytes(), entry.pins});
  }
  std::ranges::sort(all, {}, &fieldtune::AdapterInMemory::name);
  return all;
}

// Nobody gets an adapter but through the lock that we hold, so one that only
// the cache has stays so.
bool AdapterCache::evict_one() {
  for (const auto& [worth, named] : by_worth_) {
    if (named->second.adapter.use_count() > 1) continue;
    floor_ = std::max(floor_, worth);
    ++evictions_;
    drop(*named);
    return true;
  }
  return false;
}

Result<Charge> AdapterCache::charge(size_t bytes) {
  const Lock lock(mutex_);
  const bool fits_alone = bytes <= budget_bytes_;
  // What others may keep beside it, and by how much they exceed that: sums with
  // `bytes` could wrap.
  const size_t others = fits_alone ? budget_bytes_ - bytes : 0;
  const size_t used = ledger_->used;
  const size_t excess = used > others ? used - others : 0;
  // What cannot fit evicts nothing.
  size_t evictable = 0;
  if (fits_alone)
    for (const auto& [worth, named] : by_worth_) {
      if (evictable >= excess) break;
      if (named->second.adapter.use_count() == 1)
        evictable += named->second.adapter->charge.bytes();
    }
  if (!fits_alone || evictable < excess)
    return does_not_fit(fmt::format(
        "{} more bytes do not fit the adapters' budget of {} bytes, of which "
        "{} are pinned or in use",
        bytes, budget_bytes_, used - evictable));
  while (ledger_->used > others && evict_one()) {
  }
  return Charge(ledger_, bytes);
}

CacheStats AdapterCache::stats() const {
  const Lock lock(mutex_);
  CacheStats stats{.budget_bytes = budget_bytes_,
                   .used_bytes = ledger_->used,
                   .hits = hits_,
                   .misses = misses_,
                   .evictions = evictions_,
                   .failures = failures_};
  for (const auto& [name, entry] : entries_) {
    stats.pinned += entry.pins > 0 ? 1 : 0;
    if (entry.adapter == nullptr) continue;
    ++stats.cached;
    stats.cached_bytes += entry.adapter->charge.bytes();
  }
  return stats;
}

}  // namespace ft
