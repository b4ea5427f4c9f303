// The tables of an SQLite file: made, and compared with what a file has, which
// comes from outside.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "adapters/store/database.h"

namespace ft::store {

// What sqlite_schema holds of a table or an index.
struct TableItem {
  int64_t since;  // version of the file that has it
  const char *name, *sql;
};

struct Tables {
  int64_t application_id, version;
  std::span<const TableItem> items;  // `since` never goes down
  const char* of;                    // "a store"
};

// Those since that version, in a transaction of the caller.
Status make_tables(Database& db, const Tables& tables, int64_t since);
// The version of a file whose tables are all of that version and no others.
Result<int64_t> check_tables(Database& db, const Tables& tables,
                             const std::string& where);

}  // namespace ft::store
