#include "tests/faults/fault_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/hash.h"

namespace ft::faults {
namespace {

namespace fs = std::filesystem;

std::string replaced(std::string text, const std::string& from,
                     const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

std::string digest_of(const Files& files) {
  std::string all;
  for (const auto& [path, bytes] : files)
    all += fmt::format("{} {}\n{}", path, bytes.size(), bytes);
  return sha256_hex(std::as_bytes(std::span(all)));
}

// Ids are those of inodes and of no meaning between runs; marks are no calls.
size_t calls_in(const std::vector<Entry>& entries) {
  return static_cast<size_t>(std::ranges::count_if(
      entries, [](const Entry& e) { return e.call != Call::kMark; }));
}

}  // namespace

bool exhaustive() { return std::getenv("FT_EXHAUSTIVE") != nullptr; }

uint64_t seed() {
  const char* text = std::getenv("FT_FAULT_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 20261122;
}

void save_figures(const Figures& f) {
  fmt::print(
      "{}: {} calls, {} power cuts, {} after {} failing calls, seed {}\n",
      f.subject, f.calls, f.power_cuts, f.after_failure, f.failing_runs,
      seed());
  const char* path = std::getenv("FT_FAULT_FIGURES");
  if (path == nullptr) return;
  std::FILE* file = std::fopen(path, "a");
  FT_CHECK(file != nullptr);
  fmt::print(file,
             "{{\"subject\": \"{}\", \"calls\": {}, \"power_cuts\": {}, "
             "\"failing_runs\": {}, \"after_failure\": {}, \"points\": {}, "
             "\"seed\": {}}}\n",
             f.subject, f.calls, f.power_cuts, f.failing_runs, f.after_failure,
             f.points(), seed());
  std::fclose(file);
}

void FaultTest::SetUp() {
  ASSERT_TRUE(fs::exists(work_.recorder()));
  fs::create_directories(in());
}

int FaultTest::shell_status(const std::string& command,
                            const std::string& root) const {
  std::string text = replaced(command, "{root}", root);
  text = replaced(text, "{in}", in());
  return work_.run(replaced(text, "{here}", work_.program("")));
}

void FaultTest::shell(const std::string& command) const {
  ASSERT_EQ(shell_status(command, work_.path("none")), 0) << command << "\n"
                                                          << work_.said();
}

FaultTest::Run FaultTest::run(const Subject& subject,
                              const std::string& environment) const {
  const std::string root = work_.path("root");
  fs::remove_all(root);
  fs::copy(work_.path("before"), root, fs::copy_options::recursive);
  const int status = shell_status(
      fmt::format("export FT_FAULT_ROOT={{root}} FT_FAULT_RECORD={} {} "
                  "LD_PRELOAD={}; exec {}",
                  work_.path("record"), environment, work_.recorder(),
                  subject.command),
      root);
  return {status, read_record(work_.path("record")).value()};
}

void FaultTest::explore(const Subject& subject) {
  subject_ = &subject;
  verdicts_.clear();
  figures_ = {.subject = subject.name};
  fs::remove_all(work_.path("before"));
  fs::create_directories(work_.path("before"));
  ASSERT_EQ(shell_status(subject.before, work_.path("before")), 0)
      << subject.before << "\n"
      << work_.said();
  before_ = files_of(work_.path("before"));
  const Run whole = run(subject, "");
  ASSERT_EQ(whole.status, 0) << subject.command << "\n" << work_.said();
  after_ = files_of(work_.path("root"));
  figures_.calls = static_cast<long>(calls_in(whole.entries));
  ASSERT_GT(figures_.calls, 2) << "the recorder saw nothing";
  cut_everywhere(whole);
  if (!HasFailure()) fail_everywhere(whole);
  if (!HasFailure()) save_figures(figures_);
}

void FaultTest::cut_everywhere(const Run& whole) {
  Disk disk;
  ASSERT_TRUE(disk.start_from(work_.path("before")).ok());
  OldOrNew allowed(before_, subject_->in_place);
  const size_t count = whole.entries.size();
  const size_t every = exhaustive() ? 1 : std::max<size_t>(1, count / 10);
  const uint64_t seeds = exhaustive() ? 24 : 2;
  for (size_t i = 0; i <= count; ++i) {
    const bool looks = i % every == 0 || i == count;
    for (uint64_t s = 0; looks && s < seeds; ++s) {
      const uint64_t one = seed() + 1000003 * i + s;
      ++figures_.power_cuts;
      if (!cut(disk, allowed, one,
               fmt::format("power cut after call {}, seed {}", i, one)))
        return;
    }
    if (i == count) break;
    disk.apply(whole.entries[i]);
    allowed.apply(whole.entries[i], disk);
  }
  EXPECT_EQ(allowed.unsafe(), "") << "success was reported before it was safe";
}

void FaultTest::fail_everywhere(const Run& whole) {
  const size_t calls = calls_in(whole.entries);
  const size_t every = exhaustive() ? 1 : std::max<size_t>(1, calls / 5);
  size_t turn = 0;
  for (size_t at = 1; at <= calls && !HasFailure(); at += every)
    for (const char* kind : kFailures)
      if (exhaustive() || turn++ % 3 == 0) fail_at(at, kind);
}

// What the process left is looked at as it is, and after power cuts at its end
// and anywhere.
void FaultTest::fail_at(size_t call, const char* kind) {
  const std::string what =
      fmt::format("FT_FAULT_AT={} FT_FAULT_KIND={}", call, kind);
  const Run failed = run(*subject_, what);
  ++figures_.failing_runs;
  const std::string said = work_.said();
  const bool known =
      failed.status == 0 || failed.status == 5 || failed.status == kKilled;
  ASSERT_TRUE(known) << what << ": exit status " << failed.status << "\n"
                     << said;
  Disk disk;
  ASSERT_TRUE(disk.start_from(work_.path("before")).ok());
  OldOrNew allowed(before_, subject_->in_place);
  const uint64_t one =
      seed() + 1000003 * static_cast<uint64_t>(figures_.failing_runs);
  const size_t middle =
      Random(one, "prefix")
          .below(0, static_cast<uint32_t>(failed.entries.size() + 1));
  for (size_t i = 0; i < failed.entries.size(); ++i) {
    if (i == middle) {
      ++figures_.after_failure;
      if (!cut(disk, allowed, one, what + ", power cut")) return;
    }
    disk.apply(failed.entries[i]);
    allowed.apply(failed.entries[i], disk);
  }
  figures_.after_failure += 2;
  const std::string unsafe = failed.status == 0 ? allowed.unsafe() : "";
  EXPECT_EQ(unsafe, "") << what << ": success before it was safe";
  if (cut(disk, allowed, one + 1, what + ", power cut at the end"))
    (void)look(work_.path("root"), allowed, what);
}

bool FaultTest::cut(const Disk& disk, const OldOrNew& allowed, uint64_t one,
                    const std::string& what) {
  const Status status = disk.leave(work_.path("left"), one);
  EXPECT_TRUE(status.ok()) << status.message();
  return status.ok() && look(work_.path("left"), allowed, what);
}

bool FaultTest::look(const std::string& folder, const OldOrNew& allowed,
                     const std::string& what) {
  const Files left = files_of(folder);
  std::string wrong = allowed.wrong_with(left);
  if (wrong.empty()) {
    const std::string digest = digest_of(left);
    const auto known = verdicts_.find(digest);
    wrong = known != verdicts_.end() ? known->second : retry_in(folder);
    verdicts_[digest] = wrong;
  }
  EXPECT_EQ(wrong, "") << subject_->name << ": " << what;
  return wrong.empty();
}

std::string FaultTest::retry_in(const std::string& folder) {
  if (subject_->retry.empty()) return "";
  const int status = shell_status(subject_->retry, folder);
  if (status != 0)
    return fmt::format("exit status {} afterwards: {}", status, work_.said());
  const Files now = files_of(folder);
  for (const auto& [path, bytes] : now)
    if (is_temporary_name(path)) return "'" + path + "' is still there";
  if (!subject_->same_files) return "";
  for (const auto& [path, bytes] : after_)
    if (!now.contains(path) || now.at(path) != bytes)
      return "afterwards '" + path + "' is not as without a fault";
  for (const auto& [path, bytes] : now)
    if (!after_.contains(path)) return "afterwards '" + path + "' is there";
  return "";
}

}  // namespace ft::faults
