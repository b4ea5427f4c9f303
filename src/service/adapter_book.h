// Which adapter a request means: names and versions of a shelf, the one that
// answers where none is named, and what is kept in memory.
//
// Every version is registered in the runtime under a name of its contents, so
// an answer is of exactly the version that the book says, whatever changes
// meanwhile. A change that fails leaves all as it was.
//
// Thread-safe. The runtime must outlive it.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "service/adapter_shelf.h"

namespace ft::service {

// What answers a request.
struct Chosen {
  std::string name;     // empty: the base alone
  int64_t version = 0;  // 0: the base, or a file that does not say
  std::string in_runtime;
};

// What a reload came to; names whose new version could not be loaded keep the
// one that they had.
struct Reloaded {
  size_t names = 0, versions = 0, changed = 0;
  std::string problem = {};
};

class AdapterBook {
 public:
  // Without a shelf: the base alone.
  static Result<std::unique_ptr<AdapterBook>> open(
      fieldtune::Runtime& runtime, std::shared_ptr<AdapterShelf> shelf);

  std::shared_ptr<const Catalog> catalog() const;
  AdapterShelf* shelf() const { return shelf_.get(); }
  int64_t seen_mark() const { return seen_mark_; }

  // kUsage where there is no such adapter or version, or none is in use.
  // Version 0: the one in use. "": the base alone.
  Result<Chosen> choose(const std::string& name, int64_t version = 0) const;
  // Of requests that name none.
  Chosen active() const;

  // Loads it and makes it the one of requests that name none.
  Result<Chosen> use(const std::string& name);
  // Loads it; with `keep` it stays in memory until unload().
  Result<Chosen> load(const std::string& name, int64_t version, bool keep);
  // Fails with kUsage on the active one.
  Result<Chosen> unload(const std::string& name, int64_t version);
  bool is_kept(const std::string& in_runtime) const;

  // Looks at the shelf; `only_if_changed` by its change mark, or where the last
  // look left a version out that could not be loaded and it is time to try
  // again: when the runtime holds less than it did then, or after a second,
  // two, four and so on up to kLongestWait.
  Result<Reloaded> reload(bool only_if_changed = false);
  // Why the last look failed, or left a version out; empty: it did not.
  std::string problem() const;
  static constexpr std::chrono::milliseconds kFirstWait{1000},
      kLongestWait{64000};

 private:
  AdapterBook(fieldtune::Runtime& runtime, std::shared_ptr<AdapterShelf> shelf)
      : runtime_(runtime), shelf_(std::move(shelf)) {}

  Result<Reloaded> look(bool only_if_changed);
  bool is_time_to_retry() const;
  void note(const Result<Reloaded>& done, bool looked);
  Status activate(const Chosen& chosen);
  void keep(const std::string& in_runtime, bool kept);
  void register_new(const Catalog& before, const Catalog& now);
  void forget_gone(const Catalog& before, const Catalog& now);
  size_t move_on(const Catalog& before, Catalog& now, std::string& problem);

  fieldtune::Runtime& runtime_;
  const std::shared_ptr<AdapterShelf> shelf_;
  std::mutex changing_;  // one change at a time; no answer waits for it
  std::atomic<int64_t> seen_mark_{-1};
  // By who holds changing_: of a version that was left out.
  bool is_left_out_ = false;
  size_t held_then_ = 0;  // by the runtime
  std::chrono::milliseconds wait_ = kFirstWait;
  std::chrono::steady_clock::time_point retry_ = {};

  mutable std::mutex mutex_;  // of all below, held for copies
  std::shared_ptr<const Catalog> catalog_ = std::make_shared<const Catalog>();
  Chosen active_;
  std::set<std::string> kept_;  // names in the runtime
  std::string problem_;
};

// What a version is called in the runtime.
std::string runtime_name(const std::string& name, const CatalogVersion& v);

}  // namespace ft::service
