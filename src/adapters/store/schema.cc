#include "adapters/store/schema.h"

#include <fmt/format.h>

namespace ft::store {
namespace {

constexpr int64_t kApplicationId = 0x46745374;  // "FtSt"

// What sqlite_schema must hold, in this order; `since` never goes down.
// Constraints say what the code takes for granted: one trial, one confirmed
// version and one running experiment a name.
struct SchemaItem {
  int64_t since;
  const char *name, *sql;
};
constexpr SchemaItem kSchema[] = {
    {1, "store",
     "CREATE TABLE store (id INTEGER PRIMARY KEY CHECK (id = 1), "
     "counter INTEGER NOT NULL, highest_time INTEGER NOT NULL, "
     "base_sha256 TEXT NOT NULL, key_check BLOB NOT NULL) STRICT"},
    {1, "adapters",
     "CREATE TABLE adapters (id INTEGER PRIMARY KEY, name TEXT NOT NULL, "
     "version INTEGER NOT NULL CHECK (version >= 1), "
     "sha256 TEXT NOT NULL CHECK (length(sha256) = 64), "
     "parent_sha256 TEXT NOT NULL, base_sha256 TEXT NOT NULL, "
     "method TEXT NOT NULL, bytes INTEGER NOT NULL CHECK (bytes >= 0), "
     "metrics TEXT NOT NULL, signature TEXT NOT NULL, "
     "signed_by TEXT NOT NULL, slot TEXT NOT NULL "
     "CHECK (slot IN ('staged', 'trial', 'confirmed', 'retired')), "
     "pinned INTEGER NOT NULL, added INTEGER NOT NULL, "
     "added_time INTEGER NOT NULL, last_use INTEGER NOT NULL, "
     "last_use_time INTEGER NOT NULL, confirmed INTEGER NOT NULL) STRICT"},
    {1, "one_version",
     "CREATE UNIQUE INDEX one_version ON adapters (name, version)"},
    {1, "one_content",
     "CREATE UNIQUE INDEX one_content ON adapters (name, sha256)"},
    {1, "one_trial",
     "CREATE UNIQUE INDEX one_trial ON adapters (name) WHERE slot = 'trial'"},
    {1, "one_confirmed",
     "CREATE UNIQUE INDEX one_confirmed ON adapters (name) "
     "WHERE slot = 'confirmed'"},
    {1, "by_content", "CREATE INDEX by_content ON adapters (sha256)"},
    {2, "experiments",
     "CREATE TABLE experiments (id INTEGER PRIMARY KEY, name TEXT NOT NULL, "
     "control INTEGER NOT NULL CHECK (control >= 0), "
     "treatment INTEGER NOT NULL CHECK (treatment >= 1), "
     "share REAL NOT NULL, salt TEXT NOT NULL, promote_if TEXT NOT NULL, "
     "rollback_if TEXT NOT NULL, least INTEGER NOT NULL, "
     "confidence REAL NOT NULL, state TEXT NOT NULL CHECK (state IN "
     "('running', 'promoted', 'rolled back', 'stopped')), "
     "started INTEGER NOT NULL, started_time INTEGER NOT NULL, "
     "ended INTEGER NOT NULL, ended_time INTEGER NOT NULL, "
     "reason TEXT NOT NULL) STRICT"},
    {2, "one_running",
     "CREATE UNIQUE INDEX one_running ON experiments (name) "
     "WHERE state = 'running'"},
    {2, "outcomes",
     "CREATE TABLE outcomes (id INTEGER PRIMARY KEY, "
     "experiment INTEGER NOT NULL, arm INTEGER NOT NULL "
     "CHECK (arm IN (0, 1)), metric TEXT NOT NULL, "
     "count INTEGER NOT NULL CHECK (count >= 0), mean REAL NOT NULL, "
     "m2 REAL NOT NULL CHECK (m2 >= 0), classes BLOB NOT NULL) STRICT"},
    {2, "one_outcome",
     "CREATE UNIQUE INDEX one_outcome ON outcomes (experiment, arm, metric)"},
    {2, "boots",
     "CREATE TABLE boots (id INTEGER PRIMARY KEY, name TEXT NOT NULL, "
     "version INTEGER NOT NULL CHECK (version >= 1), "
     "boots INTEGER NOT NULL CHECK (boots >= 0), "
     "most INTEGER NOT NULL CHECK (most >= 1)) STRICT"},
    {2, "one_boots", "CREATE UNIQUE INDEX one_boots ON boots (name)"},
    {3, "intervals",
     "CREATE TABLE intervals (experiment INTEGER PRIMARY KEY, "
     "kind TEXT NOT NULL CHECK (kind IN ('none', 'one-look', 'every-look')), "
     "target INTEGER NOT NULL CHECK (target >= 1)) STRICT"},
};

Result<int64_t> pragma(Database& db, const char* name) {
  FT_TRY(Statement statement, db.prepare(name));
  FT_TRY(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

Status make_items_since(Database& db, int64_t since) {
  for (const SchemaItem& item : kSchema)
    if (item.since >= since) FT_TRY_STATUS(db.execute(item.sql));
  return db.execute(
      fmt::format("PRAGMA user_version = {}", kSchemaVersion).c_str());
}

}  // namespace

Status create_schema(Database& db) {
  FT_TRY_STATUS(db.execute(
      fmt::format("PRAGMA application_id = {}", kApplicationId).c_str()));
  return make_items_since(db, 1);
}

Result<int64_t> check_schema(Database& db, const std::string& where) {
  FT_TRY(const int64_t application, pragma(db, "PRAGMA application_id"));
  FT_TRY(const int64_t version, pragma(db, "PRAGMA user_version"));
  if (application != kApplicationId)
    return invalid_input(where + ": 'index.sqlite' is not of a store");
  if (version < 1 || version > kSchemaVersion)
    return invalid_input(fmt::format(
        "{}: its index has version {}; this program reads versions 1 to {}",
        where, version, kSchemaVersion));
  FT_TRY(Statement items, db.prepare("SELECT name, sql FROM sqlite_schema "
                                     "ORDER BY rowid"));
  Status damaged =
      invalid_input(where +
                    ": the index is damaged: its tables are not those "
                    "of a store");
  for (const SchemaItem& item : kSchema) {
    if (item.since > version) break;
    FT_TRY(const bool row, items.step());
    if (!row || items.text(0) != item.name || items.text(1) != item.sql)
      return damaged;
  }
  FT_TRY(const bool more, items.step());
  if (more) return damaged;
  return version;
}

Result<int64_t> migrate_schema(Database& db, const std::string& where) {
  {
    FT_TRY(Transaction transaction, Transaction::begin(db));
    FT_TRY(const int64_t version, check_schema(db, where));
    if (version < kSchemaVersion) {
      FT_TRY_STATUS(make_items_since(db, version + 1));
      FT_TRY_STATUS(transaction.commit());
    }
  }
  return check_schema(db, where);
}

}  // namespace ft::store
