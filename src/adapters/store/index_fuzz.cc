// libFuzzer entry: any index gives rows that are as index.h promises, or a
// Status, never a crash.
//
// The first byte says what the rest is: a whole file; changes to a whole one (a
// position and a byte each); the values of an adapter's row, put into a whole
// one; changes to the log beside an index; or the values of an experiment, of
// what it counted and of a count of starts. SQLite reads and writes in memory
// (memory_files.h); nothing else differs from a store.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "adapters/store/experiment_index.h"
#include "adapters/store/experiment_rule.h"
#include "adapters/store/index.h"
#include "adapters/store/memory_files.h"
#include "base/fuzz_seeds.h"

namespace {

using fieldtune::kArms;
using ft::store::Database;
using ft::store::ExperimentIndex;
using ft::store::Index;

constexpr const char* kPath = "/index.sqlite";

ft::store::MemoryFiles& files() {
  static ft::store::MemoryFiles& installed = ft::store::MemoryFiles::install();
  return installed;
}

ft::Result<Index> open_index() {
  return Index::open(kPath, Database::Mode::kWrite, 0, "fuzz");
}

void write_index(std::string_view text, std::string_view log = {}) {
  files().put(kPath, std::string(text));
  for (const char* end : {"-wal", "-shm", "-journal"})
    files().remove(kPath + std::string(end));
  if (!log.empty()) files().put(std::string(kPath) + "-wal", std::string(log));
}

fieldtune::StoredAdapter example() {
  return {.name = "me",
          .version = 1,
          .sha256 = std::string(64, 'a'),
          .base_sha256 = std::string(64, 'b'),
          .method = "lora",
          .bytes = 100,
          .metrics = {{"accuracy", 0.5}},
          .signature = "none",
          .added = 1};
}

fieldtune::Experiment experiment() {
  return {.name = "me",
          .control = 1,
          .treatment = 2,
          .salt = "s",
          .rules = {.promote_if = "accuracy >= control + 0.5",
                    .rollback_if = "latency_p99_ms > control * 2",
                    .least = 2},
          .started = 1};
}

fieldtune::Tally tally() {
  fieldtune::Tally counted;
  for (const double ms : {1.0, 2.0, 5.0})
    FT_CHECK(counted
                 .add({.requests = 1,
                       .right = ms < 3,
                       .latency_ms = ms,
                       .metrics = {{"energy", ms}}})
                 .ok());
  return counted;
}

// The files of an index with a row in each table, which stand in the log: as a
// crash leaves them.
struct Whole {
  std::string index, log;
  Whole() {
    files().remove(kPath);
    FT_CHECK(Index::create(kPath, {.counter = 1}, "fuzz").ok());
    auto open = open_index();
    FT_CHECK(open.ok() && open->insert(example()).ok());
    ExperimentIndex experiments(*open, "fuzz");
    fieldtune::Experiment e = experiment();
    FT_CHECK(experiments.insert(e).ok());
    for (const auto arm : kArms)
      FT_CHECK(experiments.set_tally(e.id, arm, tally()).ok());
    FT_CHECK(experiments.set_boots({"me", 1, 0, 3}).ok());
    index = files().get(kPath);
    log = files().get(std::string(kPath) + "-wal");
    FT_CHECK(!log.empty());
  }
};

const Whole& whole() {
  static const Whole both;
  return both;
}

// The same in one file.
const std::string& whole_index() {
  static const std::string text = [] {
    write_index(whole().index, whole().log);
    FT_CHECK(open_index().ok());  // folds the log
    return files().get(kPath);
  }();
  return text;
}

void check(const fieldtune::StoredAdapter& row) {
  FT_CHECK(ft::store::check_name(row.name).ok());
  FT_CHECK(row.version >= 1 && ft::store::is_sha256(row.sha256));
  FT_CHECK(row.parent_sha256.empty() ||
           ft::store::is_sha256(row.parent_sha256));
}

// Rules are asked what they say of whatever was counted.
void read_experiments(Index& index) {
  ExperimentIndex experiments(index, "fuzz");
  (void)experiments.boots().ok();
  (void)experiments.running("me").ok();
  const auto all = experiments.list({});
  if (!all.ok()) return;
  for (const fieldtune::Experiment& e : *all) {
    FT_CHECK(ft::store::check_name(e.name).ok());
    FT_CHECK(fieldtune::check_rules(e.rules).ok());
    FT_CHECK(e.share > 0 && e.share < 1);
    const auto control = experiments.tally(e.id, kArms[0]);
    const auto treatment = experiments.tally(e.id, kArms[1]);
    if (control.ok() && treatment.ok())
      (void)ft::store::judge(e.rules, *treatment, *control).ok();
  }
  fieldtune::Experiment next = experiment();
  (void)experiments.insert(next).ok();
}

void read_all() {
  auto index = open_index();
  if (!index.ok()) return;
  (void)index->store_row().ok();
  (void)index->check_pages().ok();
  const auto rows = index->all();
  if (rows.ok())
    for (const auto& row : *rows) check(row);
  const auto active = index->active("me");
  if (active.ok() && *active) check(**active);
  (void)index->of_sha256(std::string(64, 'a')).ok();
  (void)index->count().ok();
  (void)index->insert(example()).ok();
  read_experiments(*index);
}

// Takes what is before the first zero byte, and that byte.
std::string take_text(std::string_view& text) {
  const size_t end = text.find('\0');
  std::string part(text.substr(0, end));
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  return part;
}

// Takes 8 bytes as they lie; zeros where there are no more.
template <typename Number>
Number take(std::string_view& text) {
  static_assert(sizeof(Number) == 8);
  Number number = 0;
  const size_t size = std::min(text.size(), sizeof number);
  std::memcpy(&number, text.data(), size);
  text.remove_prefix(size);
  return number;
}

// A row whose text columns are the parts of the input between zero bytes.
void insert_row(std::string_view text) {
  write_index(whole_index());
  auto index = open_index();
  FT_CHECK(index.ok());
  fieldtune::StoredAdapter row = example();
  std::string* columns[] = {&row.name,        &row.sha256, &row.parent_sha256,
                            &row.base_sha256, &row.method, &row.signature,
                            &row.signed_by};
  for (std::string* column : columns) *column = take_text(text);
  uint64_t number = 0;  // wraps around
  for (const char c : text) number = number * 257 + static_cast<uint8_t>(c);
  row.version = static_cast<int64_t>(number);
  row.bytes = number >> 3;
  row.added = static_cast<int64_t>(number >> 60) - 2;
  row.confirmed = static_cast<int64_t>(number >> 56) - 8;
  (void)index->insert(row).ok();
}

// An ended experiment, a metric of it and a count of starts, whose columns are
// the parts of the input.
void insert_experiment(std::string_view text) {
  write_index(whole_index());
  auto index = open_index();
  FT_CHECK(index.ok());
  ExperimentIndex experiments(*index, "fuzz");
  fieldtune::Experiment e = experiment();
  e.state = fieldtune::ExperimentState::kStopped;
  std::string metric;
  for (std::string* column : {&e.name, &e.salt, &e.rules.promote_if,
                              &e.rules.rollback_if, &e.reason, &metric})
    *column = take_text(text);
  e.share = take<double>(text);
  e.rules.confidence = take<double>(text);
  fieldtune::Moments counted;
  counted.mean = take<double>(text);
  counted.m2 = take<double>(text);
  for (int64_t* column : {&counted.count, &e.control, &e.treatment,
                          &e.rules.least, &e.started, &e.ended})
    *column = take<int64_t>(text);
  if (!experiments.insert(e).ok()) return;
  fieldtune::Tally one{.requests = e.ended, .metrics = {{metric, counted}}};
  if (!text.empty())
    one.latency.counts[static_cast<uint8_t>(text[0])] =
        static_cast<uint64_t>(e.ended);
  (void)experiments.set_tally(e.id, kArms[0], one).ok();
  (void)experiments.set_tally(e.id, kArms[1], one).ok();
  (void)experiments.set_boots({e.name, e.control, e.started, e.ended}).ok();
}

// Positions and bytes to put there.
std::string changed(std::string text, std::string_view changes) {
  for (size_t i = 0; i + 3 <= changes.size(); i += 3) {
    const size_t at = static_cast<uint8_t>(changes[i]) * size_t{256} +
                      static_cast<uint8_t>(changes[i + 1]);
    text[at % text.size()] = changes[i + 2];
  }
  return text;
}

}  // namespace

// SQLite allocates so often that AddressSanitizer's bookkeeping of each block
// takes half of the time; with less of it a crash is found as well, and
// explained when its input is run with the usual options.
extern "C" const char* __asan_default_options() {
  return "malloc_context_size=1:quarantine_size_mb=4:max_malloc_fill_size=0";
}

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  using std::string_literals::operator""s;
  ft::write_fuzz_seed("index", '\0' + whole_index());
  ft::write_fuzz_seed("one-byte", "\1\0\x64\2"s);
  ft::write_fuzz_seed("row", "\2me\0"s + std::string(64, 'a') + '\0' +
                                 std::string(64, 'c') + '\0' +
                                 std::string(64, 'b') + "\0lora\0none\0\0\1"s);
  ft::write_fuzz_seed("log", "\3\0\x30\1"s);
  const double numbers[] = {0.5, 0.95, 0.5, 1.5};
  const int64_t counts[] = {6, 1, 2, 2, 1, 7};
  ft::write_fuzz_seed(
      "experiment",
      "\4me\0s\0accuracy > 90\0energy > control * 2 and latency_p99_ms > 3\0"
      "stopped\0accuracy\0"s +
          std::string(reinterpret_cast<const char*>(numbers), sizeof numbers) +
          std::string(reinterpret_cast<const char*>(counts), sizeof counts) +
          '\x20');
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1,
                              size - 1);
  switch (data[0] % 5) {
    case 0: write_index(rest); break;
    case 1: write_index(changed(whole_index(), rest)); break;
    case 2: insert_row(rest); break;
    case 3: write_index(whole().index, changed(whole().log, rest)); break;
    default: insert_experiment(rest);
  }
  read_all();
  return 0;
}
