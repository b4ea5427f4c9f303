#include "service/sample_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "adapters/store/index.h"
#include "adapters/store/tables.h"
#include "base/file.h"
#include "base/hash.h"

namespace ft::service {

using store::Database;
using store::Statement;
using store::Transaction;

namespace {

constexpr store::TableItem kItems[] = {
    {1, "kept",
     "CREATE TABLE kept (id INTEGER PRIMARY KEY CHECK (id = 1), "
     "base_sha256 TEXT NOT NULL, features INTEGER NOT NULL "
     "CHECK (features >= 1), classes TEXT NOT NULL, key_check BLOB NOT NULL, "
     "samples INTEGER NOT NULL CHECK (samples >= 0)) STRICT"},
    {1, "samples",
     "CREATE TABLE samples (id INTEGER PRIMARY KEY, data BLOB NOT NULL, "
     "sha256 TEXT NOT NULL) STRICT"},
};
constexpr store::Tables kTables = {.application_id = 0x4674536d,  // "FtSm"
                                   .version = 1,
                                   .items = kItems,
                                   .of = "samples of a training"};
// Another process looks for a moment only, or trains for hours.
constexpr int kBusyMs = 1000;
constexpr int64_t kMostFeatures = int64_t{1} << 26;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Label (int32) and features (float32), little-endian as all hosts of ours.
std::vector<std::byte> payload_of(const LabeledSample& sample) {
  const auto label = static_cast<int32_t>(sample.label);
  const auto features = std::as_bytes(std::span(sample.features));
  std::vector<std::byte> payload(sizeof(label) + features.size());
  std::memcpy(payload.data(), &label, sizeof(label));
  std::ranges::copy(features, payload.begin() + sizeof(label));
  return payload;
}

std::string text_of(const std::vector<std::string>& words) {
  return nlohmann::json(words).dump(-1, ' ', false,
                                    nlohmann::json::error_handler_t::replace);
}

bool parse_words(const std::string& text, std::vector<std::string>& words) {
  const auto list = nlohmann::json::parse(text, nullptr, false);
  if (!list.is_array()) return false;
  for (const auto& word : list) {
    if (!word.is_string()) return false;
    words.push_back(word.get<std::string>());
  }
  return true;
}

Status errno_error(const std::string& what) {
  return io_error(what + ": " + std::strerror(errno));
}

}  // namespace

SampleFile::SampleFile(std::string path, SampleKind kind)
    : path_(std::move(path)),
      where_("samples '" + path_ + "'"),
      kind_(std::move(kind)) {}

Status SampleFile::damaged(const std::string& what) const {
  return invalid_input(fmt::format("{} are damaged: {}", where_, what));
}

Result<SampleFile> SampleFile::open(const std::string& path,
                                    const SampleKind& kind,
                                    const fieldtune::StoreKey& key) {
  SampleFile file(path, kind);
  if (key.given()) {
    FT_TRY(auto cipher, store::Cipher::load(key));
    file.cipher_.emplace(std::move(cipher));
    file.key_check_ = file.cipher_->make_check();
  }
  if (::access(path.c_str(), F_OK) != 0) FT_TRY_STATUS(file.create());
  FT_TRY_STATUS(file.connect(kBusyMs));
  FT_TRY_STATUS(file.take_kind(kind));
  return file;
}

Result<SampleFile> SampleFile::open_to_look(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0)
    return errno_error("cannot open '" + path + "'");
  SampleFile file(path, {});
  FT_TRY_STATUS(file.connect(0));
  return file;
}

// Under another name until it is whole: a file of this name that is empty has
// lost its samples, and is not taken for a new one.
Status SampleFile::create() const {
  const std::string fresh = path_ + ".new";
  // A log of a file that was deleted must not be folded into this one.
  for (const std::string& old : {path_, fresh})
    for (const char* ending : {"-wal", "-shm", "-journal"})
      FT_TRY_STATUS(remove_file(old + ending));
  FT_TRY_STATUS(remove_file(fresh));
  const int fd =
      ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return errno_error("cannot make '" + path_ + "'");
  ::close(fd);
  FT_TRY(Database db,
         Database::open(fresh, Database::Mode::kWrite, kBusyMs, where_));
  FT_TRY_STATUS(db.execute("PRAGMA synchronous = FULL"));
  FT_TRY(Transaction transaction, Transaction::begin(db));
  FT_TRY_STATUS(store::make_tables(db, kTables, 1));
  {
    FT_TRY(Statement insert,
           db.prepare("INSERT INTO kept (id, base_sha256, features, classes, "
                      "key_check, samples) VALUES (1, ?, ?, ?, ?, 0)"));
    const auto* check = reinterpret_cast<const uint8_t*>(key_check_.data());
    const std::string classes = text_of(kind_.classes);
    insert.bind(kind_.base_sha256)
        .bind(kind_.features)
        .bind(classes)
        .bind(std::span(check, key_check_.size()));
    FT_TRY_STATUS(insert.run());
  }
  FT_TRY_STATUS(transaction.commit());
  FT_TRY_STATUS(db.close());
  if (::rename(fresh.c_str(), path_.c_str()) != 0)
    return errno_error("cannot make '" + path_ + "'");
  return ok_status();
}

// Alone: from the first look at it until it is closed.
Status SampleFile::connect(int busy_ms) {
  const int longest = static_cast<int>(
      std::clamp<int64_t>(5 * kind_.features, 1 << 20, 1 << 29));
  FT_TRY(Database db, Database::open(path_, Database::Mode::kWrite, busy_ms,
                                     where_, longest));
  db_.emplace(std::move(db));
  FT_TRY_STATUS(db_->execute("PRAGMA locking_mode = EXCLUSIVE"));
  FT_TRY_STATUS(store::check_tables(*db_, kTables, where_).status());
  FT_TRY_STATUS(db_->execute("PRAGMA journal_mode = WAL"));
  FT_TRY_STATUS(db_->execute("PRAGMA synchronous = FULL"));
  FT_TRY_STATUS(db_->execute("PRAGMA cell_size_check = ON"));
  FT_TRY_STATUS(db_->execute("PRAGMA wal_autocheckpoint = 256"));
  FT_TRY_STATUS(db_->execute("PRAGMA journal_size_limit = 1048576"));
  // As in the store's index: what is in the log may never have reached the
  // disk, and folding it writes it anew.
  FT_TRY_STATUS(db_->execute("PRAGMA wal_checkpoint(PASSIVE)"));
  const size_t slash = path_.rfind('/');
  FT_TRY_STATUS(
      sync_folder(slash == std::string::npos ? "." : path_.substr(0, slash)));
  struct stat there {};
  if (::stat(path_.c_str(), &there) != 0)
    return errno_error("cannot look at '" + path_ + "'");
  inode_ = there.st_ino;
  return read_facts();
}

Status SampleFile::check_place() const {
  struct stat there {};
  if (::stat(path_.c_str(), &there) == 0 && there.st_ino == inode_)
    return ok_status();
  return io_error(where_ + " were removed while they were open");
}

Status SampleFile::read_facts() {
  FT_TRY(Statement row,
         db_->prepare("SELECT base_sha256, features, classes, key_check, "
                      "samples FROM kept WHERE id = 1"));
  FT_TRY(const bool there, row.step());
  SampleKind kind;
  if (there) kind = {.base_sha256 = row.text(0), .features = row.integer(1)};
  if (!there || !store::is_sha256(kind.base_sha256) || kind.features < 1 ||
      kind.features > kMostFeatures || !parse_words(row.text(2), kind.classes))
    return damaged("what they are of is malformed");
  kind_ = std::move(kind);
  count_ = row.integer(4);
  FT_TRY(Statement last,
         db_->prepare("SELECT coalesce(max(id), 0) FROM samples"));
  FT_TRY(const bool counted, last.step());
  if (!counted || last.integer(0) != count_)
    return damaged(
        fmt::format("the last one is {} of {}", last.integer(0), count_));
  const std::string check = row.blob(3);
  is_encrypted_ = !check.empty();
  // An empty file is given another kind and key: see take_kind().
  if (cipher_ && count_ > 0) return check_key(check);
  return ok_status();
}

Status SampleFile::check_key(const std::string& key_check) const {
  if (key_check.empty())
    return usage_error(where_ + " were kept without a key, and one is given");
  if (cipher_->matches(key_check)) return ok_status();
  return usage_error(where_ + " are encrypted with another key");
}

Status SampleFile::take_kind(const SampleKind& kind) {
  const bool had_key = is_encrypted_;
  if (count_ == 0) {
    db_.reset();
    kind_ = kind;
    FT_TRY_STATUS(create());
    return connect(kBusyMs);
  }
  if (had_key && !cipher_)
    return usage_error(where_ + " are encrypted: their key is needed");
  if (kind_.base_sha256 != kind.base_sha256)
    return invalid_input(
        fmt::format("{} are of another base model (sha256 {}, this one has {})",
                    where_, kind_.base_sha256, kind.base_sha256));
  if (kind_.features != kind.features)
    return invalid_input(fmt::format("{} have {} features, the model takes {}",
                                     where_, kind_.features, kind.features));
  if (kind_.classes == kind.classes) return ok_status();
  const bool grew =
      !kind_.classes.empty() && kind_.classes.size() < kind.classes.size() &&
      std::ranges::equal(kind_.classes,
                         std::span(kind.classes).first(kind_.classes.size()));
  if (!grew)
    return usage_error(fmt::format(
        "{} are labeled with other classes, {}; more may be added behind them",
        where_,
        kind_.classes.empty() ? "the model's own" : text_of(kind_.classes)));
  FT_TRY(Statement update,
         db_->prepare("UPDATE kept SET classes = ? WHERE id = 1"));
  const std::string classes = text_of(kind.classes);
  FT_TRY_STATUS(update.bind(classes).run());
  kind_ = kind;
  return ok_status();
}

// Binds a sealed sample to its place: which training's, and which one.
std::string SampleFile::name_of(int64_t id) const {
  return fmt::format("{}/{}", path_.substr(path_.rfind('/') + 1), id);
}

Status SampleFile::add(std::span<const LabeledSample> samples) {
  FT_TRY(Transaction transaction, Transaction::begin(*db_));
  int64_t id = count_;
  for (const LabeledSample& sample : samples) {
    ++id;
    std::vector<std::byte> data = payload_of(sample);
    if (cipher_) data = cipher_->seal(data, name_of(id));
    const std::string digest = sha256_hex(data);
    FT_TRY(Statement insert, db_->prepare("INSERT INTO samples (id, data, "
                                          "sha256) VALUES (?, ?, ?)"));
    const auto* first = reinterpret_cast<const uint8_t*>(data.data());
    FT_TRY_STATUS(
        insert.bind(id).bind(std::span(first, data.size())).bind(digest).run());
  }
  {
    FT_TRY(Statement update,
           db_->prepare("UPDATE kept SET samples = ? WHERE id = 1"));
    FT_TRY_STATUS(update.bind(id).run());
  }
  FT_TRY_STATUS(check_place());
  FT_TRY_STATUS(transaction.commit());
  count_ = id;
  return ok_status();
}

Result<std::vector<std::byte>> SampleFile::unsealed(
    int64_t id, const std::string& data, const std::string& digest) const {
  const auto bytes = bytes_of(data);
  if (sha256_hex(bytes) != digest)
    return damaged(fmt::format("sample {} is not what was written", id));
  if (!cipher_) return std::vector<std::byte>(bytes.begin(), bytes.end());
  return cipher_->open(bytes, name_of(id),
                       fmt::format("sample {} of '{}'", id, path_));
}

Status SampleFile::read(const Each& each) {
  FT_TRY(Statement rows,
         db_->prepare("SELECT id, data, sha256 FROM samples ORDER BY id"));
  const int64_t labels = kind_.classes.empty()
                             ? INT32_MAX
                             : static_cast<int64_t>(kind_.classes.size());
  const size_t size = static_cast<size_t>(kind_.features) * sizeof(float);
  std::vector<float> features(static_cast<size_t>(kind_.features));
  int64_t id = 0;
  while (true) {
    FT_TRY(const bool row, rows.step());
    if (!row) break;
    if (rows.integer(0) != ++id)
      return damaged(fmt::format("sample {} is missing", id));
    FT_TRY(const auto payload, unsealed(id, rows.blob(1), rows.text(2)));
    int32_t label = -1;
    const bool fits = payload.size() == sizeof(label) + size;
    if (fits) {
      std::memcpy(&label, payload.data(), sizeof(label));
      std::memcpy(features.data(), payload.data() + sizeof(label), size);
    }
    if (!fits || label < 0 || label >= labels ||
        !std::ranges::all_of(features,
                             [](float x) { return std::isfinite(x); }))
      return damaged(fmt::format("sample {} is malformed", id));
    FT_TRY_STATUS(each(features, label));
  }
  if (id == count_) return ok_status();
  return damaged(fmt::format("{} of {} are there", id, count_));
}

}  // namespace ft::service
