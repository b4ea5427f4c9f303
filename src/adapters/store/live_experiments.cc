// Outcomes of requests, kept in memory and written by a thread.
#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <thread>
#include <utility>

#include "adapters/store/impl.h"
#include "fieldtune/experiment.h"

namespace fieldtune {

struct LiveExperiments::Impl {
  using Running = std::map<std::string, Experiment>;
  using Pending = std::map<std::pair<int64_t, Arm>, Tally>;

  Impl(AdapterStore opened, LiveOptions given)
      : store(std::move(opened)), options(std::move(given)) {}
  ~Impl();

  Status flush();
  Status flush_locked();
  Status write_each(const std::vector<Recorded>& batch);
  void keep(Pending unwritten);
  Status refresh();
  void tick();
  void loop();

  // The store is one thread's at a time; held while it is written.
  std::mutex store_mutex;
  AdapterStore store;
  const LiveOptions options;
  int64_t seen = -1;     // the store's counter when `running` was read
  int64_t decided = -1;  // the same, when rules were asked: a report writes too

  mutable std::shared_mutex running_mutex;
  Running running;
  std::vector<Experiment> ended;  // on_end was not told yet

  std::mutex pending_mutex;
  Pending pending;

  mutable std::mutex thread_mutex;
  std::condition_variable wake;
  bool stopping = false;
  Status error = {};
  std::thread thread;
};

LiveExperiments::Impl::~Impl() {
  if (!thread.joinable()) return;
  {
    const std::unique_lock lock(thread_mutex);
    stopping = true;
  }
  wake.notify_all();
  thread.join();
  (void)flush().ok();  // who must know calls it before
}

void LiveExperiments::Impl::keep(Pending unwritten) {
  const std::unique_lock lock(pending_mutex);
  for (auto& [key, tally] : unwritten) pending[key].add(tally);
}

// One of them cannot be counted at all, and would keep the others from it.
Status LiveExperiments::Impl::write_each(const std::vector<Recorded>& batch) {
  Status first = {};
  for (const Recorded& recorded : batch) {
    const auto late = Experiments(store).record(std::span(&recorded, 1));
    if (late.ok()) continue;
    if (first.ok()) first = late.status();
    if (late.status().code() != Code::kUsage)
      keep({{{recorded.experiment, recorded.arm}, recorded.tally}});
  }
  return first;
}

// With the store's lock.
Status LiveExperiments::Impl::flush_locked() {
  Pending taken;
  {
    const std::unique_lock lock(pending_mutex);
    taken.swap(pending);
  }
  std::vector<Recorded> batch;
  for (const auto& [key, tally] : taken)
    if (!tally.empty()) batch.push_back({key.first, key.second, tally});
  if (!batch.empty()) {
    const auto late = Experiments(store).record(batch);
    if (!late.ok() && late.status().code() == Code::kUsage)
      return write_each(batch);
    if (!late.ok()) {
      keep(std::move(taken));
      return late.status();
    }
  }
  return refresh();
}

Status LiveExperiments::Impl::flush() {
  const std::unique_lock lock(store_mutex);
  return flush_locked();
}

// With the store's lock. One short statement where nothing has changed.
Status LiveExperiments::Impl::refresh() {
  FT_TRY(const StoreInfo info, store.info());
  if (info.counter == seen) return {};
  FT_TRY(const auto now, Experiments(store).running());
  Running next;
  for (const Experiment& e : now) next[e.name] = e;
  const std::unique_lock lock(running_mutex);
  for (const auto& [name, e] : running) {
    const auto at = next.find(name);
    if (at == next.end() || at->second.id != e.id) ended.push_back(e);
  }
  running = std::move(next);
  seen = info.counter;
  return {};
}

// What the thread does at each interval.
void LiveExperiments::Impl::tick() {
  Status status;
  std::vector<Experiment> told;
  {
    const std::unique_lock lock(store_mutex);
    status = flush_locked();
    if (status.ok() && options.decide && seen != decided) {
      Running now;
      {
        const std::shared_lock shared(running_mutex);
        now = running;
      }
      for (const auto& [name, e] : now)
        if (status.ok()) status = Experiments(store).decide(name).status();
      if (status.ok()) status = refresh();
      if (status.ok()) decided = seen;
    }
    for (Experiment& e : ended) {
      auto all = Experiments(store).list(e.name);
      if (all.ok())
        for (const Experiment& now : *all)
          if (now.id == e.id) e = now;
    }
    told.swap(ended);
  }
  {
    const std::unique_lock lock(thread_mutex);
    error = status;
  }
  if (options.on_end)
    for (const Experiment& e : told) options.on_end(e);
}

void LiveExperiments::Impl::loop() {
  while (true) {
    {
      std::unique_lock lock(thread_mutex);
      wake.wait_for(lock, std::chrono::milliseconds(options.flush_ms),
                    [this] { return stopping; });
      if (stopping) return;
    }
    tick();
  }
}

LiveExperiments::LiveExperiments(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
LiveExperiments::LiveExperiments(LiveExperiments&&) noexcept = default;
LiveExperiments& LiveExperiments::operator=(LiveExperiments&&) noexcept =
    default;
LiveExperiments::~LiveExperiments() = default;

Result<LiveExperiments> LiveExperiments::open(const std::string& folder,
                                              const LiveOptions& options) {
  if (options.flush_ms < 1)
    return ft::usage_error("outcomes are written at least every 1 ms");
  if (options.store.read_only)
    return ft::usage_error("store '" + folder +
                           "' must be writable to count outcomes");
  FT_TRY(AdapterStore store, AdapterStore::open(folder, options.store));
  auto impl = std::make_unique<Impl>(std::move(store), options);
  FT_TRY_STATUS(impl->refresh());
  impl->thread = std::thread([raw = impl.get()] { raw->loop(); });
  return LiveExperiments(std::move(impl));
}

std::optional<Assignment> LiveExperiments::assign(const std::string& name,
                                                  std::string_view key) const {
  const std::shared_lock lock(impl_->running_mutex);
  const auto at = impl_->running.find(name);
  if (at == impl_->running.end()) return std::nullopt;
  const Experiment& e = at->second;
  const Arm arm = e.arm_of(key);
  return Assignment{.experiment = e.id,
                    .name = name,
                    .arm = arm,
                    .version = e.version_of(arm),
                    .adapter = e.adapter_of(arm)};
}

Status LiveExperiments::record(const Assignment& assignment,
                               const Outcome& outcome) {
  {
    const std::shared_lock lock(impl_->running_mutex);
    const auto at = impl_->running.find(assignment.name);
    if (at == impl_->running.end() || at->second.id != assignment.experiment)
      return {};
  }
  const std::unique_lock lock(impl_->pending_mutex);
  return impl_->pending[{assignment.experiment, assignment.arm}].add(outcome);
}

Status LiveExperiments::flush() { return impl_->flush(); }

Result<ExperimentReport> LiveExperiments::report(const std::string& name) {
  const std::unique_lock lock(impl_->store_mutex);
  FT_TRY_STATUS(impl_->flush_locked());
  return Experiments(impl_->store).report(name);
}

Result<ExperimentReport> LiveExperiments::decide(const std::string& name) {
  const std::unique_lock lock(impl_->store_mutex);
  FT_TRY_STATUS(impl_->flush_locked());
  FT_TRY(auto report, Experiments(impl_->store).decide(name));
  FT_TRY_STATUS(impl_->refresh());
  return report;
}

std::vector<Experiment> LiveExperiments::running() const {
  const std::shared_lock lock(impl_->running_mutex);
  std::vector<Experiment> all;
  for (const auto& [name, e] : impl_->running) all.push_back(e);
  return all;
}

Status LiveExperiments::last_error() const {
  const std::unique_lock lock(impl_->thread_mutex);
  return impl_->error;
}

}  // namespace fieldtune
