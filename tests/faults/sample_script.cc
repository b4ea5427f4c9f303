// Samples that are kept of two trainings, in one process, for a recorder of
// faults: added, deleted, opened again; with marks that say which states are
// allowed (marked_run.h).
//
//   sample_fault_script FOLDER [KEY_FILE]
//
// With the key they are encrypted. After a failure the process itself looks
// whether the samples are as they were. Exits with 1 and a sentence where a
// promise is broken; that calls fail is none.
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>

#include "tests/faults/record.h"
#include "tests/faults/sample_state.h"

namespace ft::faults {
namespace {

using service::SampleFile;

struct SampleScript {
  std::string folder;
  fieldtune::StoreKey key;
  SampleOracle oracle;
  // After changes that failed: one may turn out to have been made when the log
  // is read again.
  std::vector<SampleOracle> maybe;
  std::map<std::string, SampleFile> open = {};
  MarkFunction mark = nullptr;
  int next = 1, failures = 0, broken = 0;
  bool has_grown = false;

  void say(const std::string& text) const {
    if (mark != nullptr) mark(text.c_str());
  }

  void look(const std::string& name, const char* when) {
    const auto at = open.find(name);
    if (at == open.end()) return;
    const auto found = numbers_in(at->second);
    if (!found.ok()) {
      if (found.status().code() == Code::kIo) return;  // the disk still fails
      std::fprintf(stderr, "%s: %s\n", when, found.status().message().c_str());
      ++broken;
      return;
    }
    if (*found == oracle.numbers[name]) return;
    for (SampleOracle& other : maybe)
      if (*found == other.numbers[name]) {
        oracle.numbers[name] = *found;
        return;
      }
    std::fprintf(stderr, "%s '%s' has %zu samples, not %zu\n", when,
                 name.c_str(), found->size(), oracle.numbers[name].size());
    ++broken;
  }

  bool reopen(const std::string& name) {
    open.erase(name);
    for (int i = 0; i < 3 && !open.contains(name); ++i) {
      auto file = SampleFile::open(service::sample_file_of(folder, name),
                                   sample_kind(has_grown), key);
      if (file.ok()) {
        open.emplace(name, std::move(file).value());
      } else {
        ++failures;
        judge(file.status());
      }
    }
    look(name, "after opening");
    return open.contains(name);
  }

  void judge(const Status& status) {
    if (status.code() == Code::kIo) return;
    std::fprintf(stderr, "failed with another reason: %s\n",
                 status.message().c_str());
    ++broken;
  }

  void change(const std::string& name, const std::function<Status()>& make,
              const std::function<void(std::vector<int>&)>& effect) {
    SampleOracle after = oracle;
    effect(after.numbers[name]);
    say("try" + after.text());
    const Status status = make();
    if (status.ok()) {
      oracle = after;
      maybe.clear();
      say("ok");
      return;
    }
    ++failures;
    say("failed");
    judge(status);
    maybe.push_back(after);
    look(name, "after a failed change");
  }

  void add(const std::string& name, int count) {
    if (!open.contains(name) && !reopen(name)) return;
    std::vector<service::LabeledSample> samples;
    std::vector<int> numbers;
    for (int i = 0; i < count; ++i) {
      numbers.push_back(next);
      samples.push_back(sample_of(next++));
    }
    change(
        name, [&] { return open.at(name).add(samples); },
        [&](std::vector<int>& all) {
          all.insert(all.end(), numbers.begin(), numbers.end());
        });
  }

  void remove(const std::string& name) {
    open.erase(name);
    if (oracle.numbers[name].empty()) return;
    change(
        name,
        [&] {
          const Status gone = service::delete_samples(folder, name);
          // By an earlier one that failed in its last part.
          return gone.code() == Code::kUsage ? ok_status() : gone;
        },
        [](std::vector<int>& all) { all.clear(); });
  }

  void live() {
    std::error_code error;
    for (int i = 0; i < 3 && !std::filesystem::exists(folder, error); ++i)
      std::filesystem::create_directory(folder, error);
    add("me", 1);
    add("me", 3);
    add("you", 2);
    (void)reopen("me");
    add("me", 40);
    add("me", 1);
    remove("you");
    add("you", 5);
    (void)reopen("you");
    has_grown = true;
    (void)reopen("me");
    add("me", 2);
    remove("me");
    add("me", 1);
    add("you", 1);
    (void)reopen("me");
    add("me", 4);
    remove("you");
    open.clear();
  }
};

}  // namespace
}  // namespace ft::faults

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) return 2;
  ft::faults::SampleScript script;
  script.folder = argv[1];
  if (argc == 3) script.key.file = argv[2];
  script.mark = reinterpret_cast<ft::faults::MarkFunction>(
      dlsym(RTLD_DEFAULT, ft::faults::kMarkFunction));
  script.live();
  std::printf("%d failures\n", script.failures);
  return script.broken > 0 ? 1 : 0;
}
