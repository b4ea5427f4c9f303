// Power cuts and failing calls at every write of an adapter store: it opens
// every time, with every adapter that was acknowledged, whole.
//
// A script of store operations (faults/store_script.cc) runs under a recorder.
// For every prefix of its calls, states that a power cut may leave are made
// from seeds and looked at; then the script runs again and again while its n-th
// call fails with ENOSPC or EIO, or ends the process. FT_EXHAUSTIVE=1 takes all
// points, else every so many-th; FT_FAULT_SEED=N replays another run's seeds.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "adapters/store/test_adapters.h"
#include "base/file.h"
#include "fieldtune/adapter_store.h"
#include "tests/faults/fault_run.h"
#include "tests/faults/power_cut.h"
#include "tests/faults/store_state.h"

namespace ft::faults {
namespace {

namespace fs = std::filesystem;
using fieldtune::AdapterStore;
using States = std::set<std::string>;

// The states that are allowed after each entry of a record.
class Allowed {
 public:
  const States& states() const { return states_; }
  void apply(const Entry& entry) {
    if (entry.call != Call::kMark) return;
    if (entry.data == "ok") {
      states_ = {last_};
    } else if (entry.data != "failed") {
      last_ = entry.data.substr(3);
      states_.insert(last_);
    }
  }

 private:
  std::string last_;
  States states_ = {kNoStore};
};

// What is wrong with a store that a fault left; empty: nothing.
std::string wrong_with(const std::string& folder, const States& allowed,
                       const fieldtune::StoreKey& key) {
  auto store = AdapterStore::open(folder, {.key = key});
  if (!store.ok()) {
    if (!allowed.contains(kNoStore))
      return "does not open: " + store.status().message();
    const Status made = AdapterStore::init(folder, {.key = key});
    if (!made.ok()) return "cannot be made anew: " + made.message();
    store = AdapterStore::open(folder, {.key = key});
    if (!store.ok()) return "made anew: " + store.status().message();
  } else {
    const auto text = text_of(*store);
    if (!text.ok()) return "cannot be listed: " + text.status().message();
    if (!allowed.contains(*text)) {
      std::string all = "holds\n" + *text + "allowed are\n";
      for (const std::string& state : allowed) all += state + "or\n";
      return all;
    }
  }
  const auto problems = store->verify(true);
  if (!problems.ok()) return "verify: " + problems.status().message();
  for (const auto& problem : *problems)
    if (!problem.repaired) return problem.what;
  const auto after = [&]() -> Status {
    FT_TRY(const auto added,
           store->add(store::test_adapter(77), "test", {.name = "after"}));
    FT_TRY_STATUS(store->use("after").status());
    FT_TRY_STATUS(store->confirm("after").status());
    FT_TRY(const auto active, store->active("after"));
    FT_TRY_STATUS(store->load(active).status());
    FT_TRY(const auto left, store->verify());
    return left.empty() ? ok_status() : internal_error(left[0].what);
  }();
  return after.ok() ? "" : "cannot be used: " + after.message();
}

// Plain, and encrypted.
class StoreFaults : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
#ifdef FT_SANITIZED
    GTEST_SKIP() << "a preloaded library and a sanitizer do not mix";
#endif
    const std::string here = fs::read_symlink("/proc/self/exe").parent_path();
    script_ = here + "/store_fault_script";
    recorder_ = here + "/libft_fault_recorder.so";
    ASSERT_TRUE(fs::exists(script_) && fs::exists(recorder_));
    const std::string root = fs::exists("/dev/shm") ? "/dev/shm" : "/tmp";
    work_ = fmt::format("{}/ft_faults_{}", root, getpid());
    fs::remove_all(work_);
    fs::create_directories(work_);
    if (!GetParam()) return;
    key_.file = work_ + "/key";
    ASSERT_TRUE(write_new_file(key_.file,
                               std::vector<std::byte>(32, std::byte{7}), 0600)
                    .ok());
  }
  void TearDown() override {
    if (!work_.empty()) fs::remove_all(work_);
  }

  // Runs the script in `work_`/store; its exit status.
  int run(const std::string& environment) const {
    fs::remove_all(work_ + "/store");
    const std::string command = fmt::format(
        "FT_FAULT_ROOT={0}/store FT_FAULT_RECORD={0}/record {1} LD_PRELOAD={2} "
        "{3} {0}/store {4} > {0}/out 2>&1",
        work_, environment, recorder_, script_, key_.file);
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::vector<Entry> record() const {
    return read_record(work_ + "/record").value();
  }
  // Looks at `seeds` states after a power cut behind the first `prefix` calls.
  int cut(const std::vector<Entry>& entries, size_t prefix, int seeds,
          const std::string& what) const {
    Disk disk;
    Allowed allowed;
    for (size_t i = 0; i < prefix; ++i) {
      disk.apply(entries[i]);
      allowed.apply(entries[i]);
    }
    return cut(disk, allowed, prefix, seeds, what);
  }
  int cut(const Disk& disk, const Allowed& allowed, size_t prefix, int seeds,
          const std::string& what) const {
    for (int i = 0; i < seeds; ++i) {
      const uint64_t one = seed() + 1000003 * prefix + static_cast<uint64_t>(i);
      EXPECT_TRUE(disk.leave(work_ + "/left", one).ok());
      const std::string wrong =
          wrong_with(work_ + "/left", allowed.states(), key_);
      EXPECT_EQ(wrong, "") << what << ", power cut after call " << prefix
                           << ", seed " << one;
      if (!wrong.empty()) return i + 1;
    }
    return seeds;
  }

  Figures figures() const {
    return {.subject = GetParam() ? "encrypted store" : "store"};
  }

  std::string script_, recorder_, work_;
  fieldtune::StoreKey key_;
};

INSTANTIATE_TEST_SUITE_P(, StoreFaults, testing::Bool(), [](const auto& info) {
  return info.param ? "Encrypted" : "Plain";
});

TEST_P(StoreFaults, APowerCutAnywhereLosesNothing) {
  ASSERT_EQ(run(""), 0) << read_text_file(work_ + "/out").value();
  const auto entries = record();
  ASSERT_GT(entries.size(), 300u);
  Disk disk;
  Allowed allowed;
  long points = 0;
  const size_t every = exhaustive() ? 1 : 3;
  const int seeds = exhaustive() ? 24 : 3;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i % every == 0 || i + 1 == entries.size())
      points += cut(disk, allowed, i, seeds, "no failure");
    disk.apply(entries[i]);
    allowed.apply(entries[i]);
    if (HasFailure()) break;
  }
  points += cut(disk, allowed, entries.size(), seeds, "no failure");
  Figures f = figures();
  f.calls = static_cast<long>(entries.size());
  f.power_cuts = points;
  save_figures(f);
}

// The process that was refused a call looks itself whether the old state is
// intact; then what it left is looked at with and without a power cut.
TEST_P(StoreFaults, ACallThatFailsLosesNothing) {
  ASSERT_EQ(run(""), 0);
  size_t calls = 0;
  for (const Entry& entry : record()) calls += entry.call != Call::kMark;
  const Random random(seed(), "prefixes");
  long points = 0, runs = 0;
  const size_t every = exhaustive() ? 1 : 29;
  for (size_t at = 1; at <= calls; at += every)
    for (const char* kind :
         {"enospc FT_FAULT_FOR=1", "enospc FT_FAULT_FOR=0",
          "eio FT_FAULT_FOR=1", "eio FT_FAULT_FOR=3", "exit"}) {
      const std::string what =
          fmt::format("FT_FAULT_AT={} FT_FAULT_KIND={}", at, kind);
      const int status = run(what);
      ASSERT_TRUE(status == 0 || status == 86)
          << what << ": " << read_text_file(work_ + "/out").value();
      const auto entries = record();
      Allowed allowed;
      for (const Entry& entry : entries) allowed.apply(entry);
      const std::string wrong =
          wrong_with(work_ + "/store", allowed.states(), key_);
      ASSERT_EQ(wrong, "") << what;
      points += 1 + cut(entries, entries.size(), 1, what);
      const auto prefix = random.below(static_cast<uint64_t>(runs++),
                                       static_cast<uint32_t>(entries.size()));
      points += cut(entries, prefix, exhaustive() ? 2 : 1, what);
      if (HasFailure()) return;
    }
  Figures f = figures();
  f.failing_runs = runs;
  f.after_failure = points;
  save_figures(f);
}

}  // namespace
}  // namespace ft::faults
