// The adapters of one device: a folder of files named by their contents, and an
// index that says which of them is in use.
//
//   FT_TRY_STATUS(fieldtune::AdapterStore::init("store"));
//   FT_TRY(auto store, fieldtune::AdapterStore::open("store"));
//   FT_TRY(auto added, store.add("me.safetensors", {.name = "me"}));
//   FT_TRY_STATUS(store.use("me", added.adapter.version).status());  // trial
//   FT_TRY_STATUS(store.confirm("me").status());   // or store.rollback("me")
//   FT_TRY(auto active, store.active("me"));
//   FT_TRY(auto file, store.load(active));         // file.bytes()
//
// A name has versions 1, 2, ...; each is in one slot:
//
//   add → staged → use → trial → confirm → confirmed → (the next confirm) →
//   retired; rollback retires what is on trial, or else what is confirmed, and
//   then what was confirmed before is confirmed again.
//
// Active is what is on trial, else what is confirmed. Every change is one
// transaction: after a crash or power cut anywhere it has happened wholly or
// not at all, and what a call reported as done stays done. Several processes
// may read while one writes; a second writer waits, then fails with a sentence.
// Order is a counter of the store's changes, never the clock.
//
// Everything that can fail returns a Result or Status with one sentence. An
// AdapterStore must not be used by two threads at once, nor across fork().
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fieldtune/result.h"

namespace fieldtune {

using ft::Code;
using ft::Result;
using ft::Status;

enum class Slot { kStaged, kTrial, kConfirmed, kRetired };
// "staged", "trial", "confirmed", "retired".
const char* name_of(Slot slot);

// One version of one name. Times are seconds since 1970 as the clock said, for
// people; what orders is the counter beside them.
struct StoredAdapter {
  std::string name = {};
  int64_t version = 0;
  std::string sha256 = {};         // of the adapter file
  std::string parent_sha256 = {};  // what it was trained from, or empty
  std::string base_sha256 = {};
  std::string method = {};
  uint64_t bytes = 0;                          // of the adapter file
  std::map<std::string, double> metrics = {};  // as the file records them
  // "none"; "valid": by an owner of the key signed_by; "trusted": whom the
  // policy knew when it was added.
  std::string signature = {};
  std::string signed_by = {};  // public key, 64 hex digits
  Slot slot = Slot::kStaged;
  bool pinned = false;
  int64_t added = 0, added_time = 0;
  int64_t last_use = 0, last_use_time = 0;  // 0: never used
  int64_t confirmed = 0;                    // counter; 0: it never was
};

// Where the key of an encrypted store is: 32 bytes in a file that only its
// owner may read, or a key of type "user" in the kernel's keyrings.
struct StoreKey {
  std::string file = {}, keyring = {};  // at most one of them
  bool given() const { return !file.empty() || !keyring.empty(); }
};

struct StoreInit {
  std::string base_sha256 = {};  // refuse adapters of other bases; empty: any
  StoreKey key = {};             // given: adapter files are encrypted
};

struct StoreOpen {
  bool read_only = false;
  int busy_ms = 5000;  // how long a writer waits for another one
  StoreKey key = {};   // as init() was given; list() and the like need none
};

struct StoreAdd {
  std::string name = {};  // empty: metadata `name`
  int64_t version = 0;    // 0: metadata `version`, else the highest + 1
  // A policy file of 'fieldtune keys': whose adapters are taken, and whether
  // one may be of a lower version than the active one; no file that names its
  // adapter is taken under another name. Empty: any well-formed adapter without
  // a false signature.
  std::string policy = {};
};

// What to collect. What is confirmed, what rollback would go back to, what is
// on trial and what is pinned always stays.
struct StoreCollect {
  int64_t keep = -1;       // newest versions a name; below 0: all
  int64_t max_bytes = -1;  // of adapter files, least recently used go first
  bool dry_run = false;    // only say what would go
};

struct Collected {
  std::vector<StoredAdapter> adapters = {};  // rows that went, oldest use first
  uint64_t freed_bytes = 0;                  // of adapter files
  uint64_t kept_bytes = 0;
  std::vector<std::string> leftovers = {};  // files of no adapter that went too
};

struct StoreProblem {
  std::string what = {};             // one sentence
  std::vector<std::string> of = {};  // name@version of those it concerns
  bool repaired = false;
};

// What begin_boot() did of one trial.
struct Boot {
  StoredAdapter adapter = {};
  int64_t boots = 0, most = 0;  // starts with this one; how many it has
  bool rolled_back = false;     // this one does not see it any more
};

struct StoreInfo {
  std::string folder = {}, base_sha256 = {};
  bool encrypted = false;
  int64_t counter = 0;  // changes so far
  int64_t adapters = 0, names = 0;
  // By how much the clock is behind a time that the store has seen; 0 where it
  // is not. Nothing depends on it but the times that are shown.
  int64_t clock_behind_seconds = 0;
};

// An adapter file in memory: mapped, or decrypted.
class AdapterBytes {
 public:
  AdapterBytes(AdapterBytes&&) noexcept;
  AdapterBytes& operator=(AdapterBytes&&) noexcept;
  ~AdapterBytes();
  std::span<const std::byte> bytes() const;

 private:
  friend class AdapterStore;
  struct Impl;
  explicit AdapterBytes(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class AdapterStore {
 public:
  struct Impl;  // of the library

  // Makes the folder, or fills an empty one. Refuses one that is a store
  // already, and one that holds anything else.
  static Status init(const std::string& folder, const StoreInit& options = {});
  // Fails with kInvalidInput where there is no store or its index is damaged.
  static Result<AdapterStore> open(const std::string& folder,
                                   const StoreOpen& options = {});
  AdapterStore(AdapterStore&&) noexcept;
  AdapterStore& operator=(AdapterStore&&) noexcept;
  ~AdapterStore();

  // Stores an adapter file, staged. The same file again under the same name
  // changes nothing and gives what is there.
  struct Added {
    StoredAdapter adapter;
    bool is_new = false;
    std::string note = {};  // what its owner should know; a sentence, or empty
  };
  Result<Added> add(const std::string& path, const StoreAdd& options = {});
  Result<Added> add(std::span<const std::byte> file, const std::string& origin,
                    const StoreAdd& options = {});

  // Applies a delta (`fieldtune delta make`) to the version that it starts
  // from, which the store must have (of options.name where that is given), and
  // stores the result under the same name. kDoesNotFit, before anything is
  // decoded, where the result would be larger than `max_bytes`.
  static constexpr uint64_t kMostDeltaBytes = uint64_t{64} << 20;
  Result<Added> add_delta(const std::string& path, const StoreAdd& options = {},
                          uint64_t max_bytes = kMostDeltaBytes);

  // By name and version; only those of `name` where it is given.
  Result<std::vector<StoredAdapter>> list(const std::string& name = {});
  Result<StoredAdapter> find(const std::string& name, int64_t version);
  Result<StoredAdapter> active(const std::string& name);
  // The adapter, what it was trained from, and so on, as far as the store
  // knows them.
  Result<std::vector<StoredAdapter>> lineage(const StoredAdapter& adapter);
  Result<StoreInfo> info();

  // Puts a version on trial, 0: the highest staged one; what was on trial is
  // staged again. Using what is confirmed ends a trial. With `boots` above 0
  // begin_boot() ends the trial, too.
  // While an experiment of the name runs (fieldtune/experiment.h), use(),
  // confirm() and rollback() fail with kUsage.
  Result<StoredAdapter> use(const std::string& name, int64_t version = 0,
                            int64_t boots = 0);
  // Confirms what is on trial, which must be `version` if that is not 0.
  Result<StoredAdapter> confirm(const std::string& name, int64_t version = 0);
  // The adapter that is active now.
  Result<StoredAdapter> rollback(const std::string& name);
  // To be called once at each start of what serves the adapters, before it
  // does: counts the starts of every trial that use() gave a number of `boots`,
  // and rolls back those that had them without a confirmation, with the
  // experiment that runs on them. Where there was nothing confirmed nothing is
  // active then. One change of the store for all; none where nothing counts.
  Result<std::vector<Boot>> begin_boot();
  Result<StoredAdapter> pin(const std::string& name, int64_t version,
                            bool pinned = true);
  // Records that it was used now: what collect() goes by.
  Status mark_used(const StoredAdapter& adapter);
  // The same of many, in one change. By name and version; those that are gone
  // are left out.
  Status mark_used(std::span<const StoredAdapter> adapters);

  // The file, checked against its SHA-256 unless the caller does that. What is
  // loaded stays whatever becomes of the store. kIo where the file is gone:
  // another process may have collected the version since it was looked up.
  Result<AdapterBytes> load(const StoredAdapter& adapter, bool check = true);

  // Removes versions, and files that a crash left behind.
  Result<Collected> collect(const StoreCollect& options);
  // Reads every file and compares it with the index. With `repair` leftovers of
  // a crash are removed; adapters are never.
  Result<std::vector<StoreProblem>> verify(bool repair = false);

 private:
  friend class Experiments;  // fieldtune/experiment.h
  Result<uint64_t> active_version(const std::string& name);
  explicit AdapterStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fieldtune
