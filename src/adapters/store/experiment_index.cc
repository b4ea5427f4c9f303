#include "adapters/store/experiment_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "adapters/store/experiment_rule.h"

namespace ft::store {
namespace {

using fieldtune::Arm;
using fieldtune::Experiment;
using fieldtune::ExperimentState;
using fieldtune::LatencyHistogram;
using fieldtune::Moments;
using fieldtune::RuleInterval;
using fieldtune::Tally;

#define FT_COLUMNS                                                          \
  "name, control, treatment, share, salt, promote_if, rollback_if, least, " \
  "confidence, state, started, started_time, ended, ended_time, reason"
constexpr const char* kAll =
    "SELECT id, " FT_COLUMNS " FROM experiments ORDER BY id";
constexpr const char* kOfName =
    "SELECT id, " FT_COLUMNS " FROM experiments WHERE name = ? ORDER BY id";
constexpr const char* kRunning =
    "SELECT id, " FT_COLUMNS
    " FROM experiments WHERE state = 'running' ORDER BY id";
constexpr const char* kRunningOf =
    "SELECT id, " FT_COLUMNS
    " FROM experiments WHERE name = ? AND state = 'running'";
constexpr const char* kFind =
    "SELECT id, " FT_COLUMNS " FROM experiments WHERE id = ?";
constexpr const char* kInsert = "INSERT INTO experiments (" FT_COLUMNS
                                ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                                "?, ?, ?) RETURNING id";
#undef FT_COLUMNS
constexpr const char* kSetEnd =
    "UPDATE experiments SET state = ?, ended = ?, ended_time = ?, reason = ? "
    "WHERE id = ?";
constexpr const char* kOldEnded =
    "SELECT id FROM experiments WHERE name = ? AND state <> 'running' "
    "ORDER BY id DESC LIMIT -1 OFFSET ?";
constexpr const char* kRemove = "DELETE FROM experiments WHERE id = ?";
constexpr const char* kRemoveOutcomes =
    "DELETE FROM outcomes WHERE experiment = ?";
constexpr const char* kInterval =
    "SELECT kind, target FROM intervals WHERE experiment = ?";
constexpr const char* kInsertInterval =
    "INSERT INTO intervals (experiment, kind, target) VALUES (?, ?, ?)";
constexpr const char* kRemoveInterval =
    "DELETE FROM intervals WHERE experiment = ?";
constexpr const char* kOutcomes =
    "SELECT metric, count, mean, m2, classes FROM outcomes "
    "WHERE experiment = ? AND arm = ? ORDER BY metric";
constexpr const char* kSetOutcome =
    "INSERT INTO outcomes (experiment, arm, metric, count, mean, m2, classes) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (experiment, arm, metric) "
    "DO UPDATE SET count = excluded.count, mean = excluded.mean, "
    "m2 = excluded.m2, classes = excluded.classes";
constexpr const char* kBoots =
    "SELECT name, version, boots, most FROM boots ORDER BY name";
constexpr const char* kSetBoots =
    "INSERT INTO boots (name, version, boots, most) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (name) DO UPDATE SET version = excluded.version, "
    "boots = excluded.boots, most = excluded.most";
constexpr const char* kForgetBoots = "DELETE FROM boots WHERE name = ?";

constexpr const char* kRequests = "requests";
constexpr ExperimentState kStates[] = {
    ExperimentState::kRunning, ExperimentState::kPromoted,
    ExperimentState::kRolledBack, ExperimentState::kStopped};

bool is_version(int64_t version, int64_t least) {
  return version >= least && version <= kHighestVersion;
}

// The word that is wrong in a row, or null.
const char* wrong_in(const Experiment& e) {
  if (!check_name(e.name).ok()) return "name";
  if (!is_version(e.control, 0)) return "control";
  if (!is_version(e.treatment, 1) || e.treatment == e.control)
    return "treatment";
  if (!(e.share > 0 && e.share < 1)) return "share";
  if (e.salt.find('|') != std::string::npos) return "salt";
  if (!check_rules(e.rules).ok()) return "rules";
  if (e.started < 1 || e.ended < 0) return "counter";
  if ((e.state == ExperimentState::kRunning) != (e.ended == 0)) return "ended";
  return nullptr;
}

// Numbers of 8 bytes each, the low one first.
std::string bytes_of(const LatencyHistogram& classes) {
  std::string bytes;
  for (const uint64_t count : classes.counts)
    for (int i = 0; i < 8; ++i)
      bytes += static_cast<char>(count >> (8 * i) & 0xff);
  return bytes;
}

bool parse_classes(const std::string& bytes, LatencyHistogram& classes) {
  if (bytes.size() != 8 * classes.counts.size()) return false;
  uint64_t all = 0;
  for (size_t i = 0; i < bytes.size(); ++i)
    classes.counts[i / 8] |= uint64_t{static_cast<uint8_t>(bytes[i])}
                             << (8 * (i % 8));
  for (const uint64_t count : classes.counts) {
    if (count > static_cast<uint64_t>(kMostOutcomes)) return false;
    all += count;
  }
  return all <= static_cast<uint64_t>(kMostOutcomes);
}

bool is_sane(const std::string& metric, const Moments& m) {
  if (m.count < 0 || m.count > kMostOutcomes || !std::isfinite(m.mean) ||
      !(m.m2 >= 0 && std::isfinite(m.m2)) || !is_metric(metric))
    return false;
  return metric != "accuracy" || (m.mean >= -1e-9 && m.mean <= 1 + 1e-9);
}

}  // namespace

Status ExperimentIndex::damaged(const char* what) const {
  return invalid_input(
      fmt::format("{}: the index is damaged: {} is malformed", where_, what));
}

Result<std::vector<Experiment>> ExperimentIndex::rows_of(Statement& s) {
  std::vector<Experiment> rows;
  while (true) {
    FT_TRY(const bool there, s.step());
    if (!there) return rows;
    Experiment e{.id = s.integer(0),
                 .name = s.text(1),
                 .control = s.integer(2),
                 .treatment = s.integer(3),
                 .share = s.real(4),
                 .salt = s.text(5),
                 .rules = {.promote_if = s.text(6),
                           .rollback_if = s.text(7),
                           .least = s.integer(8),
                           .confidence = s.real(9)},
                 .started = s.integer(11),
                 .started_time = s.integer(12),
                 .ended = s.integer(13),
                 .ended_time = s.integer(14),
                 .reason = s.text(15)};
    const std::string state = s.text(10);
    const auto* known = std::ranges::find_if(
        kStates, [&](auto st) { return state == fieldtune::name_of(st); });
    if (known == std::end(kStates)) return damaged("'state' of an experiment");
    e.state = *known;
    FT_TRY_STATUS(read_interval(e));
    if (const char* wrong = wrong_in(e))
      return damaged(fmt::format("'{}' of an experiment", wrong).c_str());
    rows.push_back(std::move(e));
  }
}

Status ExperimentIndex::read_interval(Experiment& e) {
  e.rules.interval =
      e.rules.confidence > 0 ? RuleInterval::kOneLook : RuleInterval::kNone;
  if (index_.version() < 3) return {};
  FT_TRY(Statement s, index_.database().prepare(kInterval));
  FT_TRY(const bool there, s.bind(e.id).step());
  if (!there) return {};  // started by a program of version 2
  const auto kind = fieldtune::parse_rule_interval(s.text(0));
  if (!kind.ok()) return damaged("'kind' of an interval");
  e.rules.interval = *kind;
  e.rules.target = s.integer(1);
  return {};
}

Status ExperimentIndex::insert_interval(const Experiment& e) {
  FT_TRY(Statement s, index_.database().prepare(kInsertInterval));
  s.bind(e.id).bind(fieldtune::name_of(e.rules.interval));
  return s.bind(e.rules.target).run();
}

Result<std::vector<Experiment>> ExperimentIndex::list(const std::string& name) {
  if (!has_tables()) return std::vector<Experiment>();
  FT_TRY(Statement statement,
         index_.database().prepare(name.empty() ? kAll : kOfName));
  if (!name.empty()) statement.bind(name);
  return rows_of(statement);
}

Result<std::vector<Experiment>> ExperimentIndex::running() {
  if (!has_tables()) return std::vector<Experiment>();
  FT_TRY(Statement statement, index_.database().prepare(kRunning));
  return rows_of(statement);
}

Result<std::optional<Experiment>> ExperimentIndex::running(
    const std::string& name) {
  if (!has_tables()) return std::optional<Experiment>();
  FT_TRY(Statement statement, index_.database().prepare(kRunningOf));
  FT_TRY(auto rows, rows_of(statement.bind(name)));
  return rows.empty() ? std::nullopt : std::optional(std::move(rows[0]));
}

Result<std::optional<Experiment>> ExperimentIndex::find(int64_t id) {
  if (!has_tables()) return std::optional<Experiment>();
  FT_TRY(Statement statement, index_.database().prepare(kFind));
  FT_TRY(auto rows, rows_of(statement.bind(id)));
  return rows.empty() ? std::nullopt : std::optional(std::move(rows[0]));
}

Status ExperimentIndex::insert(Experiment& e) {
  FT_TRY_STATUS(prune(e.name));
  FT_TRY(Statement insert, index_.database().prepare(kInsert));
  insert.bind(e.name).bind(e.control).bind(e.treatment).bind(e.share);
  insert.bind(e.salt).bind(e.rules.promote_if).bind(e.rules.rollback_if);
  insert.bind(e.rules.least).bind(e.rules.confidence);
  insert.bind(fieldtune::name_of(e.state));
  insert.bind(e.started).bind(e.started_time).bind(e.ended);
  insert.bind(e.ended_time).bind(e.reason);
  FT_TRY_STATUS(insert.step().status());
  e.id = insert.integer(0);
  FT_TRY_STATUS(insert.run());
  return insert_interval(e);
}

Status ExperimentIndex::set_end(const Experiment& e) {
  FT_TRY(Statement update, index_.database().prepare(kSetEnd));
  update.bind(fieldtune::name_of(e.state)).bind(e.ended).bind(e.ended_time);
  return update.bind(e.reason).bind(e.id).run();
}

Status ExperimentIndex::prune(const std::string& name) {
  std::vector<int64_t> old;
  {
    FT_TRY(Statement ended, index_.database().prepare(kOldEnded));
    ended.bind(name).bind(static_cast<int64_t>(kKeptExperiments) - 1);
    while (true) {
      FT_TRY(const bool there, ended.step());
      if (!there) break;
      old.push_back(ended.integer(0));
    }
  }
  for (const int64_t id : old)
    for (const char* sql : {kRemoveOutcomes, kRemoveInterval, kRemove}) {
      FT_TRY(Statement remove, index_.database().prepare(sql));
      FT_TRY_STATUS(remove.bind(id).run());
    }
  return {};
}

Result<Tally> ExperimentIndex::tally(int64_t experiment, Arm arm) {
  Tally tally;
  if (!has_tables()) return tally;
  FT_TRY(Statement s, index_.database().prepare(kOutcomes));
  s.bind(experiment).bind(static_cast<int64_t>(arm));
  while (true) {
    FT_TRY(const bool there, s.step());
    if (!there) return tally;
    const std::string metric = s.text(0);
    const Moments moments{s.integer(1), s.real(2), s.real(3)};
    if (!is_sane(metric, moments)) return damaged("an outcome");
    if (metric == "latency_ms" && !parse_classes(s.blob(4), tally.latency))
      return damaged("'classes' of an outcome");
    if (metric == kRequests)
      tally.requests = moments.count;
    else
      tally.metrics[metric] = moments;
  }
}

Status ExperimentIndex::set_tally(int64_t experiment, Arm arm,
                                  const Tally& tally) {
  // What could not be read back would lock the experiment, and its slots.
  const auto too_much = [](uint64_t count) {
    return count > static_cast<uint64_t>(kMostOutcomes);
  };
  bool sane = tally.requests >= 0 && tally.requests <= kMostOutcomes &&
              !too_much(tally.latency.count()) &&
              std::ranges::none_of(tally.latency.counts, too_much);
  for (const auto& [metric, moments] : tally.metrics)
    sane = sane && is_sane(metric, moments);
  if (!sane)
    return usage_error(fmt::format(
        "{}: outcomes that cannot be counted: above {}, or sums of metrics "
        "that are not finite",
        where_, kMostOutcomes));
  const auto set = [&](const std::string& metric, const Moments& m) -> Status {
    const std::string classes =
        metric == "latency_ms" ? bytes_of(tally.latency) : std::string();
    const auto* data = reinterpret_cast<const uint8_t*>(classes.data());
    FT_TRY(Statement s, index_.database().prepare(kSetOutcome));
    s.bind(experiment).bind(static_cast<int64_t>(arm)).bind(metric);
    s.bind(m.count).bind(m.mean).bind(m.m2);
    return s.bind(std::span(data, classes.size())).run();
  };
  FT_TRY_STATUS(set(kRequests, {.count = tally.requests}));
  for (const auto& [metric, moments] : tally.metrics)
    FT_TRY_STATUS(set(metric, moments));
  return {};
}

Result<std::vector<ExperimentIndex::Boots>> ExperimentIndex::boots() {
  std::vector<Boots> all;
  if (!has_tables()) return all;
  FT_TRY(Statement s, index_.database().prepare(kBoots));
  while (true) {
    FT_TRY(const bool there, s.step());
    if (!there) return all;
    all.push_back({s.text(0), s.integer(1), s.integer(2), s.integer(3)});
    const Boots& b = all.back();
    if (!check_name(b.name).ok() || !is_version(b.version, 1) || b.boots < 0 ||
        b.most < 1)
      return damaged("a count of starts");
  }
}

Status ExperimentIndex::set_boots(const Boots& b) {
  FT_TRY(Statement s, index_.database().prepare(kSetBoots));
  return s.bind(b.name).bind(b.version).bind(b.boots).bind(b.most).run();
}

Status ExperimentIndex::forget_boots(const std::string& name) {
  FT_TRY(Statement s, index_.database().prepare(kForgetBoots));
  return s.bind(name).run();
}

}  // namespace ft::store
