// What the parts of AdapterStore share: its index, its files, and a change.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "adapters/store/index.h"
#include "adapters/store/objects.h"
#include "adapters/store/write_lock.h"
#include "fieldtune/adapter_store.h"
#include "fieldtune/experiment.h"

namespace fieldtune {

struct AdapterStore::Impl {
  std::string folder, where;  // where: "store 'folder'", begins sentences
  int busy_ms;
  bool read_only;
  ft::store::StoreRow row;  // as it was when the store was opened
  ft::store::Index index;
  ft::store::Objects objects;
  // Of the index when it was opened; its number is not given to another file
  // as long as it is open.
  uint64_t index_device = 0, index_inode = 0;

  // kIo where the folder has another index by now, or none: what is open would
  // answer from, and write to, a file that nobody finds any more.
  Status check_in_place() const;
  Result<StoredAdapter> must_find(const std::string& name, int64_t version);
  Status unknown(const std::string& name);
  // Moves one row to a slot in the running transaction.
  Status move(const StoredAdapter& row, Slot slot);
  // Of its name: begin_boot() counts if `row` is on trial and `boots` above 0.
  Status limit_boots(const StoredAdapter& row, int64_t boots);
  // Removes what no row needs; the caller holds a Change that has committed.
  Status remove_leftovers(const std::vector<std::string>& leftovers);
  Result<ft::store::Objects::Leftovers> leftovers(
      const std::vector<StoredAdapter>& rows) const;
};

// One change of a store: nobody else writes until it ends, and the index is as
// it was unless it was committed. Every change counts, also one that finds
// nothing to do: its commit overwrites what a failed one may have left in the
// log, so that no later recovery can bring back rows whose files are removed.
class Change {
 public:
  static Result<Change> begin(AdapterStore::Impl& store);
  Status commit() { return transaction_.commit(); }
  const ft::store::Index::Moment& moment() const { return moment_; }

 private:
  Change(ft::store::WriteLock lock, ft::store::Transaction transaction,
         ft::store::Index::Moment moment)
      : lock_(std::move(lock)),
        transaction_(std::move(transaction)),
        moment_(moment) {}
  ft::store::WriteLock lock_;  // outlives the transaction
  ft::store::Transaction transaction_;
  ft::store::Index::Moment moment_;
};

// "name@3".
std::string spec_of(const StoredAdapter& row);

// Fails with kUsage while an experiment of that name runs.
Status refuse_experiment(AdapterStore::Impl& store, const std::string& name);
// In a change of the caller: moves the slots and writes how `e` ended.
Status end_experiment(AdapterStore::Impl& store, Experiment& e,
                      ExperimentEnd end, const std::string& reason,
                      const ft::store::Index::Moment& moment);

}  // namespace fieldtune
