#include "adapters/store/schema.h"

#include "adapters/store/tables.h"

namespace ft::store {
namespace {

// Constraints say what the code takes for granted: one trial, one confirmed
// version and one running experiment a name.
constexpr TableItem kSchema[] = {
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

constexpr Tables kTables = {.application_id = 0x46745374,  // "FtSt"
                            .version = kSchemaVersion,
                            .items = kSchema,
                            .of = "a store"};

}  // namespace

Status create_schema(Database& db) { return make_tables(db, kTables, 1); }

Result<int64_t> check_schema(Database& db, const std::string& where) {
  return check_tables(db, kTables, where);
}

Result<int64_t> migrate_schema(Database& db, const std::string& where) {
  {
    FT_TRY(Transaction transaction, Transaction::begin(db));
    FT_TRY(const int64_t version, check_schema(db, where));
    if (version < kSchemaVersion) {
      FT_TRY_STATUS(make_tables(db, kTables, version + 1));
      FT_TRY_STATUS(transaction.commit());
    }
  }
  return check_schema(db, where);
}

}  // namespace ft::store
