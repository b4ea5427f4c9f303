// The tables of a store's index, and how an older index gets those that it
// lacks.
//
// Version 1 has adapters; version 2 experiments and trials that end by
// themselves, too; version 3 which intervals an experiment's rules take. The
// text of every table is compared when an index is opened: it is a file from
// outside. docs/decisions/030 and 035 have the columns.
#pragma once

#include <cstdint>
#include <string>

#include "adapters/store/database.h"

namespace ft::store {

inline constexpr int64_t kSchemaVersion = 3;

// All tables of the newest version, in a transaction of the caller.
Status create_schema(Database& db);
// The version of an index whose tables are all of that version and no others.
Result<int64_t> check_schema(Database& db, const std::string& where);
// Makes what an older version lacks, in one transaction, and gives the newest
// version. Another process may do the same meanwhile.
Result<int64_t> migrate_schema(Database& db, const std::string& where);

}  // namespace ft::store
