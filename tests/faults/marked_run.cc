#include "tests/faults/marked_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/random.h"

namespace ft::faults {

namespace fs = std::filesystem;

void Allowed::apply(const Entry& entry) {
  if (entry.call != Call::kMark) return;
  if (entry.data == "ok") {
    states_ = {last_};
  } else if (entry.data != "failed") {
    last_ = entry.data.substr(3);
    states_.insert(last_);
  }
}

std::string wrong_unless_allowed(const std::string& text,
                                 const States& allowed) {
  if (allowed.contains(text)) return "";
  std::string all = "holds\n" + text + "allowed are\n";
  for (const std::string& state : allowed) all += state + "or\n";
  return all;
}

void MarkedFaults::SetUp() {
  ASSERT_TRUE(fs::exists(work_.program(script())));
  ASSERT_TRUE(fs::exists(work_.recorder()));
  if (!GetParam()) return;
  key_.file = work_.path("key");
  ASSERT_TRUE(
      write_new_file(key_.file, std::vector<std::byte>(32, std::byte{7}), 0600)
          .ok());
}

int MarkedFaults::run(const std::string& environment) const {
  const std::string root = work_.path("root");
  fs::remove_all(root);
  return work_.run(fmt::format(
      "FT_FAULT_ROOT={} FT_FAULT_RECORD={} {} LD_PRELOAD={} {} {} {}", root,
      work_.path("record"), environment, work_.recorder(),
      work_.program(script()), root, key_.file));
}

std::vector<Entry> MarkedFaults::record() const {
  return read_record(work_.path("record")).value();
}

int MarkedFaults::cut(const std::vector<Entry>& entries, size_t prefix,
                      int seeds, const std::string& what) {
  Disk disk;
  Allowed allowed(first_state());
  for (size_t i = 0; i < prefix; ++i) {
    disk.apply(entries[i]);
    allowed.apply(entries[i]);
  }
  return cut(disk, allowed, prefix, seeds, what);
}

int MarkedFaults::cut(const Disk& disk, const Allowed& allowed, size_t prefix,
                      int seeds, const std::string& what) {
  for (int i = 0; i < seeds; ++i) {
    const uint64_t one = seed() + 1000003 * prefix + static_cast<uint64_t>(i);
    EXPECT_TRUE(disk.leave(work_.path("left"), one).ok());
    const std::string wrong = wrong_with(work_.path("left"), allowed.states());
    EXPECT_EQ(wrong, "") << what << ", power cut after call " << prefix
                         << ", seed " << one;
    if (!wrong.empty()) return i + 1;
  }
  return seeds;
}

void MarkedFaults::cut_everywhere() {
  ASSERT_EQ(run(""), 0) << work_.said();
  const auto entries = record();
  ASSERT_GT(entries.size(), 100u) << "the recorder saw nothing";
  Disk disk;
  Allowed allowed(first_state());
  Figures f{.subject = subject()};
  f.calls = static_cast<long>(entries.size());
  const size_t step = exhaustive() ? 1 : every();
  const int seeds = exhaustive() ? 24 : 3;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i % step == 0 || i + 1 == entries.size())
      f.power_cuts += cut(disk, allowed, i, seeds, "no failure");
    disk.apply(entries[i]);
    allowed.apply(entries[i]);
    if (HasFailure()) return;
  }
  f.power_cuts += cut(disk, allowed, entries.size(), seeds, "no failure");
  if (!HasFailure()) save_figures(f);
}

// The process that was refused a call looks itself whether the old state is
// intact; then what it left is looked at with and without a power cut.
void MarkedFaults::fail_everywhere() {
  ASSERT_EQ(run(""), 0) << work_.said();
  const auto whole = record();
  const auto calls = static_cast<size_t>(std::ranges::count_if(
      whole, [](const Entry& e) { return e.call != Call::kMark; }));
  Figures f{.subject = subject()};
  const size_t step = exhaustive() ? 1 : 10 * every() - 1;
  for (size_t at = 1; at <= calls; at += step)
    for (const char* kind : kFailures) {
      f.after_failure +=
          look_after(fmt::format("FT_FAULT_AT={} FT_FAULT_KIND={}", at, kind),
                     static_cast<uint64_t>(f.failing_runs++));
      if (HasFailure()) return;
    }
  save_figures(f);
}

long MarkedFaults::look_after(const std::string& what, uint64_t turn) {
  const int status = run(what);
  EXPECT_TRUE(status == 0 || status == kKilled) << what << ": " << work_.said();
  const auto entries = record();
  Allowed allowed(first_state());
  for (const Entry& entry : entries) allowed.apply(entry);
  EXPECT_EQ(wrong_with(work_.path("root"), allowed.states()), "") << what;
  const auto prefix = Random(seed(), "prefixes")
                          .below(turn, static_cast<uint32_t>(entries.size()));
  return 1 + cut(entries, entries.size(), 1, what) +
         cut(entries, prefix, exhaustive() ? 2 : 1, what);
}

}  // namespace ft::faults
