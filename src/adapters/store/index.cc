#include "adapters/store/index.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "adapters/store/schema.h"

namespace ft::store {
namespace {

#define FT_COLUMNS                                                             \
  "name, version, sha256, parent_sha256, base_sha256, method, bytes, "         \
  "metrics, signature, signed_by, slot, pinned, added, added_time, last_use, " \
  "last_use_time, confirmed"
constexpr const char* kAll =
    "SELECT " FT_COLUMNS " FROM adapters ORDER BY name, version";
constexpr const char* kOfName =
    "SELECT " FT_COLUMNS " FROM adapters WHERE name = ? ORDER BY version";
constexpr const char* kOfContent =
    "SELECT " FT_COLUMNS
    " FROM adapters WHERE sha256 = ? ORDER BY name, version";
constexpr const char* kFind =
    "SELECT " FT_COLUMNS " FROM adapters WHERE name = ? AND version = ?";
// Two lookups in the partial indexes; 'trial' sorts behind 'confirmed'.
constexpr const char* kActive =
    "SELECT * FROM (SELECT " FT_COLUMNS
    " FROM adapters WHERE name = ?1 AND slot = 'trial' UNION ALL "
    "SELECT " FT_COLUMNS
    " FROM adapters WHERE name = ?1 AND slot = 'confirmed') "
    "ORDER BY slot DESC LIMIT 1";
constexpr const char* kInSlot =
    "SELECT " FT_COLUMNS
    " FROM adapters WHERE name = ? AND slot = ? ORDER BY version DESC LIMIT 1";
constexpr const char* kConfirmedBefore =
    "SELECT " FT_COLUMNS
    " FROM adapters WHERE name = ? AND confirmed > 0 AND confirmed < ? "
    "ORDER BY confirmed DESC LIMIT 1";
constexpr const char* kInsert =
    "INSERT INTO adapters (" FT_COLUMNS
    ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
#undef FT_COLUMNS
constexpr const char* kStoreRow =
    "SELECT counter, highest_time, base_sha256, key_check FROM store "
    "WHERE id = 1";
constexpr const char* kInsertStore =
    "INSERT INTO store (id, counter, highest_time, base_sha256, key_check) "
    "VALUES (1, ?, ?, ?, ?)";
constexpr const char* kCount =
    "UPDATE store SET counter = counter + 1, "
    "highest_time = max(highest_time, ?) WHERE id = 1 RETURNING counter";
constexpr const char* kSetSlot =
    "UPDATE adapters SET slot = ?, confirmed = ? "
    "WHERE name = ? AND version = ?";
constexpr const char* kSetPinned =
    "UPDATE adapters SET pinned = ? WHERE name = ? AND version = ?";
constexpr const char* kSetUsed =
    "UPDATE adapters SET last_use = ?, last_use_time = ? "
    "WHERE name = ? AND version = ?";
constexpr const char* kRemove =
    "DELETE FROM adapters WHERE name = ? AND version = ?";

constexpr Slot kSlots[] = {Slot::kStaged, Slot::kTrial, Slot::kConfirmed,
                           Slot::kRetired};

int64_t now_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string metrics_text(const std::map<std::string, double>& metrics) {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [name, value] : metrics) object[name] = value;
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// False on anything but an object of finite numbers.
bool parse_metrics(const std::string& text,
                   std::map<std::string, double>& metrics) {
  const auto object = nlohmann::json::parse(text, nullptr, false);
  if (!object.is_object()) return false;
  for (const auto& [name, value] : object.items()) {
    if (!value.is_number() || !std::isfinite(value.get<double>())) return false;
    metrics[name] = value.get<double>();
  }
  return true;
}

// The word that is wrong in a row, or null.
const char* wrong_in(const StoredAdapter& row) {
  if (!check_name(row.name).ok()) return "name";
  if (row.version < 1 || row.version > kHighestVersion) return "version";
  if (!is_sha256(row.sha256)) return "sha256";
  if (!row.parent_sha256.empty() && !is_sha256(row.parent_sha256))
    return "parent_sha256";
  if (row.bytes > uint64_t{1} << 48) return "bytes";
  if (row.added < 1 || row.last_use < 0 || row.confirmed < 0) return "counter";
  if (row.slot == Slot::kConfirmed && row.confirmed == 0) return "confirmed";
  const bool is_signed = row.signature == "valid" || row.signature == "trusted";
  if (!is_signed && row.signature != "none") return "signature";
  if (is_signed ? !is_sha256(row.signed_by) : !row.signed_by.empty())
    return "signed_by";
  return nullptr;
}

}  // namespace

Status check_name(const std::string& name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  if (!name.empty() && name.size() <= kLongestName && name[0] != '.' &&
      name[0] != '-' && std::ranges::all_of(name, allowed))
    return ok_status();
  return usage_error(fmt::format(
      "'{}' is not a name of an adapter: 1 to {} letters, digits, '.', '_' and "
      "'-', beginning with a letter, digit or '_'",
      name.substr(0, kLongestName), kLongestName));
}

bool is_sha256(const std::string& text) {
  return text.size() == 64 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Status Index::create(const std::string& path, const StoreRow& row,
                     const std::string& where) {
  FT_TRY(Database db,
         Database::open(path, Database::Mode::kCreate, 5000, where));
  FT_TRY_STATUS(db.execute("PRAGMA journal_mode = WAL"));
  FT_TRY_STATUS(db.execute("PRAGMA synchronous = FULL"));
  FT_TRY(Transaction transaction, Transaction::begin(db));
  FT_TRY_STATUS(create_schema(db));
  {
    FT_TRY(Statement insert, db.prepare(kInsertStore));
    const auto* check = reinterpret_cast<const uint8_t*>(row.key_check.data());
    insert.bind(row.counter)
        .bind(std::max(row.highest_time, now_seconds()))
        .bind(row.base_sha256)
        .bind(std::span(check, row.key_check.size()));
    FT_TRY_STATUS(insert.run());
  }
  FT_TRY_STATUS(transaction.commit());
  FT_TRY_STATUS(db.execute("PRAGMA wal_checkpoint(TRUNCATE)"));
  return db.close();
}

Result<Index> Index::open(const std::string& path, Database::Mode mode,
                          int busy_ms, const std::string& where) {
  FT_TRY(Database db, Database::open(path, mode, busy_ms, where));
  Index index(std::move(db), where);
  FT_TRY_STATUS(index.db_.execute("PRAGMA synchronous = FULL"));
  FT_TRY_STATUS(index.db_.execute("PRAGMA cell_size_check = ON"));
  // A megabyte of log, then it is folded into the index.
  FT_TRY_STATUS(index.db_.execute("PRAGMA wal_autocheckpoint = 256"));
  FT_TRY_STATUS(index.db_.execute("PRAGMA journal_size_limit = 1048576"));
  FT_TRY(index.version_, check_schema(index.db_, where));
  if (mode == Database::Mode::kWrite && index.version_ < kSchemaVersion) {
    FT_TRY(index.version_, migrate_schema(index.db_, where));
  }
  // What is in the log may never have reached the disk: its writer was told
  // that the sync failed, and the next sync would not say so again. Folding it
  // writes all of it anew. With readers about, nothing failed: they see what
  // was committed.
  if (mode == Database::Mode::kWrite)
    FT_TRY_STATUS(index.db_.execute("PRAGMA wal_checkpoint(PASSIVE)"));
  return index;
}

Result<StoreRow> Index::store_row() {
  FT_TRY(Statement statement, db_.prepare(kStoreRow));
  FT_TRY(const bool row, statement.step());
  if (!row)
    return invalid_input(where_ +
                         ": the index is damaged: the row of the "
                         "store is missing");
  StoreRow store{.counter = statement.integer(0),
                 .highest_time = statement.integer(1),
                 .base_sha256 = statement.text(2),
                 .key_check = statement.blob(3)};
  if (store.counter < 0 || store.counter > kHighestVersion ||
      (!store.base_sha256.empty() && !is_sha256(store.base_sha256)))
    return invalid_input(where_ +
                         ": the index is damaged: the row of the "
                         "store is malformed");
  return store;
}

Result<Index::Moment> Index::count() {
  const int64_t now = now_seconds();
  FT_TRY(Statement statement, db_.prepare(kCount));
  statement.bind(now);
  FT_TRY(const bool row, statement.step());
  if (!row)
    return invalid_input(where_ +
                         ": the index is damaged: the row of the "
                         "store is missing");
  const int64_t counter = statement.integer(0);
  FT_TRY_STATUS(statement.run());
  return Moment{counter, now};
}

// Every value of every row passes here.
Result<std::optional<StoredAdapter>> Index::row_of(Statement& statement) {
  FT_TRY(const bool there, statement.step());
  if (!there) return std::optional<StoredAdapter>();
  StoredAdapter row{.name = statement.text(0),
                    .version = statement.integer(1),
                    .sha256 = statement.text(2),
                    .parent_sha256 = statement.text(3),
                    .base_sha256 = statement.text(4),
                    .method = statement.text(5),
                    .bytes = static_cast<uint64_t>(statement.integer(6)),
                    .signature = statement.text(8),
                    .signed_by = statement.text(9),
                    .pinned = statement.integer(11) != 0,
                    .added = statement.integer(12),
                    .added_time = statement.integer(13),
                    .last_use = statement.integer(14),
                    .last_use_time = statement.integer(15),
                    .confirmed = statement.integer(16)};
  const char* wrong = nullptr;
  const std::string slot = statement.text(10);
  const auto* known = std::ranges::find_if(
      kSlots, [&](Slot s) { return slot == fieldtune::name_of(s); });
  if (known == std::end(kSlots))
    wrong = "slot";
  else
    row.slot = *known;
  if (!parse_metrics(statement.text(7), row.metrics)) wrong = "metrics";
  if (wrong == nullptr) wrong = wrong_in(row);
  if (wrong != nullptr)
    return invalid_input(fmt::format(
        "{}: the index is damaged: '{}' of a row is malformed", where_, wrong));
  return std::optional<StoredAdapter>(std::move(row));
}

Result<std::vector<StoredAdapter>> Index::rows_of(Statement& statement) {
  std::vector<StoredAdapter> rows;
  while (true) {
    FT_TRY(std::optional<StoredAdapter> row, row_of(statement));
    if (!row) return rows;
    rows.push_back(std::move(*row));
  }
}

Result<std::vector<StoredAdapter>> Index::all() {
  FT_TRY(Statement statement, db_.prepare(kAll));
  return rows_of(statement);
}

Result<std::vector<StoredAdapter>> Index::of_name(const std::string& name) {
  FT_TRY(Statement statement, db_.prepare(kOfName));
  return rows_of(statement.bind(name));
}

Result<std::vector<StoredAdapter>> Index::of_sha256(const std::string& sha256) {
  FT_TRY(Statement statement, db_.prepare(kOfContent));
  return rows_of(statement.bind(sha256));
}

Result<std::optional<StoredAdapter>> Index::find(const std::string& name,
                                                 int64_t version) {
  FT_TRY(Statement statement, db_.prepare(kFind));
  return row_of(statement.bind(name).bind(version));
}

Result<std::optional<StoredAdapter>> Index::active(const std::string& name) {
  FT_TRY(Statement statement, db_.prepare(kActive));
  return row_of(statement.bind(name));
}

Result<std::optional<StoredAdapter>> Index::in_slot(const std::string& name,
                                                    Slot slot) {
  FT_TRY(Statement statement, db_.prepare(kInSlot));
  return row_of(statement.bind(name).bind(fieldtune::name_of(slot)));
}

Result<std::optional<StoredAdapter>> Index::confirmed_before(
    const std::string& name, int64_t confirmed) {
  FT_TRY(Statement statement, db_.prepare(kConfirmedBefore));
  return row_of(statement.bind(name).bind(confirmed));
}

Result<int64_t> Index::count_rows() {
  FT_TRY(Statement statement, db_.prepare("SELECT count(*) FROM adapters"));
  FT_TRY_STATUS(statement.step().status());
  return statement.integer(0);
}

Result<int64_t> Index::count_names() {
  FT_TRY(Statement statement,
         db_.prepare("SELECT count(DISTINCT name) FROM adapters"));
  FT_TRY_STATUS(statement.step().status());
  return statement.integer(0);
}

Status Index::insert(const StoredAdapter& row) {
  FT_TRY(Statement statement, db_.prepare(kInsert));
  statement.bind(row.name)
      .bind(row.version)
      .bind(row.sha256)
      .bind(row.parent_sha256)
      .bind(row.base_sha256)
      .bind(row.method)
      .bind(static_cast<int64_t>(row.bytes))
      .bind(metrics_text(row.metrics))
      .bind(row.signature)
      .bind(row.signed_by)
      .bind(fieldtune::name_of(row.slot))
      .bind(int64_t{row.pinned})
      .bind(row.added)
      .bind(row.added_time)
      .bind(row.last_use)
      .bind(row.last_use_time)
      .bind(row.confirmed);
  return statement.run();
}

Status Index::set_slot(const StoredAdapter& row, Slot slot, int64_t confirmed) {
  FT_TRY(Statement statement, db_.prepare(kSetSlot));
  statement.bind(fieldtune::name_of(slot)).bind(confirmed);
  return statement.bind(row.name).bind(row.version).run();
}

Status Index::set_pinned(const StoredAdapter& row, bool pinned) {
  FT_TRY(Statement statement, db_.prepare(kSetPinned));
  return statement.bind(int64_t{pinned}).bind(row.name).bind(row.version).run();
}

Status Index::set_used(const StoredAdapter& row, Moment moment) {
  FT_TRY(Statement statement, db_.prepare(kSetUsed));
  statement.bind(moment.counter).bind(moment.time);
  return statement.bind(row.name).bind(row.version).run();
}

Status Index::remove(const StoredAdapter& row) {
  FT_TRY(Statement statement, db_.prepare(kRemove));
  return statement.bind(row.name).bind(row.version).run();
}

Result<std::vector<std::string>> Index::check_pages() {
  FT_TRY(Statement statement, db_.prepare("PRAGMA integrity_check(20)"));
  std::vector<std::string> found;
  while (true) {
    FT_TRY(const bool row, statement.step());
    if (!row) return found;
    if (statement.text(0) != "ok") found.push_back(statement.text(0));
  }
}

}  // namespace ft::store
