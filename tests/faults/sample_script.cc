// Samples that are kept of two trainings, in one process, for a recorder of
// faults (marked_script.h): added, deleted, opened again. After a failure the
// process itself looks whether the samples are as they were.
#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <map>
#include <vector>

#include "tests/faults/marked_script.h"
#include "tests/faults/sample_state.h"

namespace ft::faults {
namespace {

using service::SampleFile;

struct SampleScript : MarkedScript {
  SampleOracle oracle;
  // After changes that failed: one may turn out to have been made when the log
  // is read again.
  std::vector<SampleOracle> maybe;
  std::map<std::string, SampleFile> open = {};
  int next = 1;
  bool has_grown = false;

  void look(const std::string& name, const char* when) {
    const auto at = open.find(name);
    if (at == open.end()) return;
    const auto found = numbers_in(at->second);
    if (!found.ok()) {
      if (found.status().code() == Code::kIo) return;  // the disk still fails
      complain(fmt::format("{}: {}", when, found.status().message()));
      return;
    }
    if (*found == oracle.numbers[name]) return;
    for (SampleOracle& other : maybe)
      if (*found == other.numbers[name]) {
        oracle.numbers[name] = *found;
        return;
      }
    complain(fmt::format("{} '{}' has {} samples, not {}", when, name,
                         found->size(), oracle.numbers[name].size()));
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
    if (status.code() != Code::kIo)
      complain("failed with another reason: " + status.message());
  }

  void change(const std::string& name, const std::function<Status()>& make,
              const std::function<void(std::vector<int>&)>& effect) {
    SampleOracle after = oracle;
    effect(after.numbers[name]);
    const Status status = attempt(after.text(), make);
    if (status.ok()) {
      oracle = after;
      maybe.clear();
      return;
    }
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
  return ft::faults::run_script<ft::faults::SampleScript>(argc, argv);
}
