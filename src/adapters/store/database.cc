#include "adapters/store/database.h"

#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cstring>
#include <utility>

namespace ft::store {
namespace {

// What went wrong, for the one who has to mend it.
Status error_of(sqlite3* db, int code, const std::string& where) {
  const char* text = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  const int error = db != nullptr ? sqlite3_system_errno(db) : 0;
  const std::string system =
      error != 0 ? fmt::format(" ({})", std::strerror(error)) : std::string();
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return io_error(where +
                      " is being written by another process; try again "
                      "when it has finished");
    case SQLITE_FULL:
      return io_error(where + ": the disk is full; nothing was changed");
    case SQLITE_READONLY:
    case SQLITE_PERM: return io_error(where + " is read-only" + system);
    case SQLITE_CANTOPEN:
      return io_error(where + ": the database cannot be opened" + system);
    case SQLITE_IOERR:
      return io_error(
          fmt::format("{}: the database cannot be read or written: {}{}", where,
                      text, system));
    case SQLITE_NOMEM: return io_error(where + ": out of memory");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CONSTRAINT:
    case SQLITE_ERROR:
    case SQLITE_SCHEMA:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
      return invalid_input(
          fmt::format("{}: its database is damaged: {}", where, text));
    default:
      return internal_error(
          fmt::format("{}: SQLite error {}: {}", where, code, text));
  }
}

// A database is a file from outside: nothing in it may call functions with side
// effects, and its cells are checked.
int harden(sqlite3* db, int longest_bytes) {
  sqlite3_extended_result_codes(db, 1);
  for (const int option :
       {SQLITE_DBCONFIG_DEFENSIVE, SQLITE_DBCONFIG_ENABLE_TRIGGER,
        SQLITE_DBCONFIG_ENABLE_VIEW, SQLITE_DBCONFIG_TRUSTED_SCHEMA}) {
    const int on = option == SQLITE_DBCONFIG_DEFENSIVE ? 1 : 0;
    const int code = sqlite3_db_config(db, option, on, nullptr);
    if (code != SQLITE_OK) return code;
  }
  // A damaged length field must not allocate much.
  sqlite3_limit(db, SQLITE_LIMIT_LENGTH, longest_bytes);
  return SQLITE_OK;
}

std::string percent_encoded(const std::string& path) {
  std::string out;
  for (const char c : path)
    out += c == '%' || c == '?' || c == '#'
               ? fmt::format("%{:02x}", static_cast<unsigned char>(c))
               : std::string(1, c);
  return out;
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : db_(other.db_),
      handle_(std::exchange(other.handle_, nullptr)),
      where_(other.where_),
      bound_(other.bound_),
      failed_(other.failed_) {}

Statement::~Statement() { sqlite3_finalize(handle_); }

Statement& Statement::bound(int code) {
  if (failed_ == SQLITE_OK) failed_ = code;
  return *this;
}

Statement& Statement::bind(int64_t value) {
  return bound(sqlite3_bind_int64(handle_, ++bound_, value));
}

Statement& Statement::bind(double value) {
  return bound(sqlite3_bind_double(handle_, ++bound_, value));
}

Statement& Statement::bind(std::string_view text) {
  return bound(sqlite3_bind_text64(handle_, ++bound_, text.data(), text.size(),
                                   SQLITE_TRANSIENT, SQLITE_UTF8));
}

Statement& Statement::bind(std::span<const uint8_t> blob) {
  return bound(sqlite3_bind_blob64(handle_, ++bound_, blob.data(), blob.size(),
                                   SQLITE_TRANSIENT));
}

Result<bool> Statement::step() {
  if (failed_ == SQLITE_TOOBIG)
    return usage_error(fmt::format(
        "{}: a name or text is longer than the {} bytes that the index takes",
        *where_, sqlite3_limit(db_, SQLITE_LIMIT_LENGTH, -1)));
  if (failed_ != SQLITE_OK) return error_of(db_, failed_, *where_);
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return error_of(db_, code, *where_);
}

Status Statement::run() {
  FT_TRY(bool row, step());
  while (row) {
    FT_TRY(const bool next, step());
    row = next;
  }
  return ok_status();
}

int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(handle_, column);
}

double Statement::real(int column) const {
  return sqlite3_column_double(handle_, column);
}

std::string Statement::text(int column) const {
  const auto* text = sqlite3_column_text(handle_, column);
  const int size = sqlite3_column_bytes(handle_, column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text), static_cast<size_t>(size)};
}

std::string Statement::blob(int column) const {
  const void* blob = sqlite3_column_blob(handle_, column);
  const int size = sqlite3_column_bytes(handle_, column);
  if (blob == nullptr) return {};
  return {static_cast<const char*>(blob), static_cast<size_t>(size)};
}

void Database::Closer::operator()(sqlite3* db) const { sqlite3_close_v2(db); }

Database::Database(sqlite3* db, std::string where)
    : db_(db), where_(std::make_unique<std::string>(std::move(where))) {}

namespace {

// SQLite would wait for who writes into a pipe, for ever.
Status check_regular(const std::string& path, const std::string& where) {
  for (const char* of : {"", "-wal", "-shm", "-journal"}) {
    struct stat info;
    if (::stat((path + of).c_str(), &info) == 0 && !S_ISREG(info.st_mode))
      return invalid_input(
          fmt::format("{}: '{}{}' is not a regular file", where, path, of));
  }
  return ok_status();
}

}  // namespace

Result<Database> Database::open(const std::string& path, Mode mode, int busy_ms,
                                const std::string& where, int longest_bytes) {
  FT_TRY_STATUS(check_regular(path, where));
  int flags = SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const bool read = mode == Mode::kRead || mode == Mode::kImmutable;
  flags |= read ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  if (mode == Mode::kCreate) flags |= SQLITE_OPEN_CREATE;
  const std::string uri = "file:" + percent_encoded(path) +
                          (mode == Mode::kImmutable ? "?immutable=1" : "");
  sqlite3* db = nullptr;
  int code = sqlite3_open_v2(uri.c_str(), &db, flags, nullptr);
  Database database(db, where);  // closes it on every way out
  if (code == SQLITE_OK) code = harden(db, longest_bytes);
  if (code == SQLITE_OK) code = sqlite3_busy_timeout(db, busy_ms);
  // The log stays, so that its name is on disk before the first commit: SQLite
  // ignores errors when it syncs the folder of a new one.
  int persist = 1;
  if (code == SQLITE_OK && mode != Mode::kImmutable)
    code = sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
  if (code != SQLITE_OK) return error_of(db, code, where);
  return database;
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* handle = nullptr;
  const int code = sqlite3_prepare_v3(
      db_.get(), sql.data(), static_cast<int>(sql.size()), 0, &handle, nullptr);
  if (code != SQLITE_OK) return error_of(db_.get(), code, *where_);
  return Statement(db_.get(), handle, where_.get());
}

Status Database::execute(const char* sql) {
  const int code = sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? ok_status() : error_of(db_.get(), code, *where_);
}

int64_t Database::changes() const { return sqlite3_changes64(db_.get()); }

Status Database::close() {
  const int code = sqlite3_close(db_.get());
  if (code != SQLITE_OK) return error_of(db_.get(), code, *where_);
  (void)db_.release();
  return ok_status();
}

Result<Transaction> Transaction::begin(Database& db) {
  FT_TRY_STATUS(db.execute("BEGIN IMMEDIATE"));
  return Transaction(&db);
}

Transaction::Transaction(Transaction&& other) noexcept
    : db_(std::exchange(other.db_, nullptr)) {}

// After some errors SQLite has rolled back already, and then refuses to.
Transaction::~Transaction() {
  if (db_ != nullptr) (void)db_->execute("ROLLBACK").ok();
}

Status Transaction::commit() {
  FT_TRY_STATUS(db_->execute("COMMIT"));
  db_ = nullptr;
  return ok_status();
}

}  // namespace ft::store
