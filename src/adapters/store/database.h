// SQLite behind Result: a connection, statements that clean up after
// themselves, and a transaction that rolls back unless it is committed.
//
// Not for SQL: that is in index.cc. Errors become one sentence with the folder
// of the store in front: busy, full, read-only, damaged are told apart.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace ft::store {

// Bound values keep views until the statement is gone.
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  Statement& bind(int64_t value);
  Statement& bind(double value);
  Statement& bind(std::string_view text);
  Statement& bind(std::span<const uint8_t> blob);
  // True while there is a row. Fails, too, where a value could not be bound: a
  // text is longer than the index takes.
  Result<bool> step();
  // For statements without rows.
  Status run();

  int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;
  std::string blob(int column) const;

 private:
  friend class Database;
  Statement& bound(int code);
  Statement(sqlite3* db, sqlite3_stmt* handle, const std::string* where)
      : db_(db), handle_(handle), where_(where) {}
  sqlite3* db_;
  sqlite3_stmt* handle_;
  const std::string* where_;
  int bound_ = 0;
  int failed_ = 0;  // of the first bind() that did
};

class Database {
 public:
  enum class Mode { kCreate, kWrite, kRead, kImmutable };
  // `where` begins every sentence: "store 'folder'". No value is longer than
  // `longest_bytes`.
  static Result<Database> open(const std::string& path, Mode mode, int busy_ms,
                               const std::string& where,
                               int longest_bytes = 1 << 20);

  Result<Statement> prepare(std::string_view sql);
  // Statements that have neither values nor rows to look at.
  Status execute(const char* sql);
  int64_t changes() const;
  // Closes now and says what failed.
  Status close();

 private:
  struct Closer {
    void operator()(sqlite3* db) const;
  };
  Database(sqlite3* db, std::string where);
  std::unique_ptr<sqlite3, Closer> db_;
  std::unique_ptr<std::string> where_;  // statements point to it
};

// Holds the store's write lock from begin() to commit() or its end.
class Transaction {
 public:
  static Result<Transaction> begin(Database& db);
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Status commit();

 private:
  explicit Transaction(Database* db) : db_(db) {}
  Database* db_;  // null once it is over
};

}  // namespace ft::store
