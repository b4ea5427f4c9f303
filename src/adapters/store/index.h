// The index of an adapter store: the SQL statements of its adapters, and the
// rows that they give. schema.h has its tables, experiment_index.h the rest.
//
// A row is checked when it is read, as is the schema when it is opened: an
// index is a file from outside like any other, and a damaged one is refused
// with a sentence. Changes want a Transaction of the caller. Not for files of
// adapters (objects.h), and not for what a change means (adapter_store.cc).
//
// The schema stands in docs/decisions/030-adapter-store.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "adapters/store/database.h"
#include "fieldtune/adapter_store.h"

namespace ft::store {

using fieldtune::Slot;
using fieldtune::StoredAdapter;

// What the index knows of the store itself.
struct StoreRow {
  int64_t counter = 0, highest_time = 0;
  std::string base_sha256 = {};  // of all adapters; empty: any
  std::string key_check = {};    // empty: not encrypted
};

inline constexpr size_t kLongestName = 128;
inline constexpr int64_t kHighestVersion = int64_t{1} << 53;
// Names are never parts of paths, but they are arguments of commands.
Status check_name(const std::string& name);
bool is_sha256(const std::string& text);

class Index {
 public:
  // Makes the index of a new store, in one transaction, and closes it.
  static Status create(const std::string& path, const StoreRow& row,
                       const std::string& where);
  static Result<Index> open(const std::string& path, Database::Mode mode,
                            int busy_ms, const std::string& where);

  Database& database() { return db_; }
  // Of the schema: 1 where the store is only read and was never written since
  // there is A/B.
  int64_t version() const { return version_; }
  Result<StoreRow> store_row();
  // The next value of the counter, and now as the clock says.
  struct Moment {
    int64_t counter, time;
  };
  Result<Moment> count();

  Result<std::vector<StoredAdapter>> all();
  Result<std::vector<StoredAdapter>> of_name(const std::string& name);
  Result<std::vector<StoredAdapter>> of_sha256(const std::string& sha256);
  Result<std::optional<StoredAdapter>> find(const std::string& name,
                                            int64_t version);
  Result<std::optional<StoredAdapter>> active(const std::string& name);
  Result<std::optional<StoredAdapter>> in_slot(const std::string& name,
                                               Slot slot);
  // The one that was confirmed last before `confirmed`.
  Result<std::optional<StoredAdapter>> confirmed_before(const std::string& name,
                                                        int64_t confirmed);
  Result<int64_t> count_rows();
  Result<int64_t> count_names();

  Status insert(const StoredAdapter& row);
  Status set_slot(const StoredAdapter& row, Slot slot, int64_t confirmed);
  Status set_pinned(const StoredAdapter& row, bool pinned);
  Status set_used(const StoredAdapter& row, Moment moment);
  Status remove(const StoredAdapter& row);
  // SQLite's own look at every page; sentences of what it found.
  Result<std::vector<std::string>> check_pages();

 private:
  Index(Database db, std::string where)
      : db_(std::move(db)), where_(std::move(where)) {}
  Result<std::vector<StoredAdapter>> rows_of(Statement& statement);
  Result<std::optional<StoredAdapter>> row_of(Statement& statement);

  Database db_;
  std::string where_;
  int64_t version_ = 0;
};

}  // namespace ft::store
