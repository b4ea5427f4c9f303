#include "adapters/store/tables.h"

#include <fmt/format.h>

namespace ft::store {
namespace {

Result<int64_t> pragma(Database& db, const char* name) {
  FT_TRY(Statement statement, db.prepare(name));
  FT_TRY(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

}  // namespace

Status make_tables(Database& db, const Tables& tables, int64_t since) {
  FT_TRY_STATUS(db.execute(
      fmt::format("PRAGMA application_id = {}", tables.application_id)
          .c_str()));
  for (const TableItem& item : tables.items)
    if (item.since >= since) FT_TRY_STATUS(db.execute(item.sql));
  return db.execute(
      fmt::format("PRAGMA user_version = {}", tables.version).c_str());
}

Result<int64_t> check_tables(Database& db, const Tables& tables,
                             const std::string& where) {
  FT_TRY(const int64_t application, pragma(db, "PRAGMA application_id"));
  FT_TRY(const int64_t version, pragma(db, "PRAGMA user_version"));
  if (application != tables.application_id)
    return invalid_input(
        fmt::format("{}: its database is not of {}", where, tables.of));
  if (version < 1 || version > tables.version)
    return invalid_input(fmt::format(
        "{}: its database has version {}; this program reads versions 1 to {}",
        where, version, tables.version));
  FT_TRY(Statement items, db.prepare("SELECT name, sql FROM sqlite_schema "
                                     "ORDER BY rowid"));
  const Status damaged = invalid_input(
      fmt::format("{}: its database is damaged: its tables are not those of {}",
                  where, tables.of));
  for (const TableItem& item : tables.items) {
    if (item.since > version) break;
    FT_TRY(const bool row, items.step());
    if (!row || items.text(0) != item.name || items.text(1) != item.sql)
      return damaged;
  }
  FT_TRY(const bool more, items.step());
  if (more) return damaged;
  return version;
}

}  // namespace ft::store
