// Power cuts and failing calls at every write of the samples that a service
// keeps: what was answered is there, whole and in its order, what was deleted
// is not, and the file opens every time.
//
// A script (faults/sample_script.cc) runs under a recorder; see
// faults/marked_run.h.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/faults/marked_run.h"
#include "tests/faults/sample_state.h"

namespace ft::faults {
namespace {

namespace fs = std::filesystem;
using fieldtune::StoreKey;
using service::SampleFile;

Result<SampleFile> open(const std::string& folder, const std::string& name,
                        const StoreKey& key) {
  return SampleFile::open(service::sample_file_of(folder, name),
                          sample_kind(true), key);
}

// What whoever starts a training does.
Result<SampleOracle> read_all(const std::string& folder, const StoreKey& key) {
  FT_TRY(const auto listed, service::list_samples(folder));
  for (const auto& one : listed)
    if (!one.problem.empty()) return internal_error(one.problem);
  SampleOracle found;
  for (const char* name : kTrainings) {
    FT_TRY(SampleFile file, open(folder, name, key));
    FT_TRY(found.numbers[name], numbers_in(file));
  }
  return found;
}

// More can be given, and all of them deleted: nothing of them stays.
Status use(const std::string& folder, const SampleOracle& found,
           const StoreKey& key) {
  for (const char* name : kTrainings) {
    std::vector<int> expected = found.numbers.at(name);
    expected.push_back(777);
    {
      FT_TRY(SampleFile file, open(folder, name, key));
      FT_TRY_STATUS(file.add(std::vector{sample_of(777)}));
    }
    {
      FT_TRY(SampleFile file, open(folder, name, key));
      FT_TRY(const auto numbers, numbers_in(file));
      if (numbers != expected)
        return internal_error(std::string("a sample more is not in ") + name);
    }
    FT_TRY_STATUS(service::delete_samples(folder, name));
  }
  for (const auto& entry : fs::directory_iterator(folder))
    return internal_error("deleted, and there is " + entry.path().string());
  return ok_status();
}

// Deleting once more removes what an interrupted one left.
Status delete_what_is_left(const std::string& folder) {
  for (const char* name : kTrainings) {
    const Status gone = service::delete_samples(folder, name);
    if (!gone.ok() && gone.code() != Code::kUsage) return gone;
  }
  for (const auto& entry : fs::directory_iterator(folder))
    return internal_error("deleted, and there is " + entry.path().string());
  return ok_status();
}

class SampleFaults : public MarkedFaults {
 protected:
  std::string script() const override { return "sample_fault_script"; }
  std::string first_state() const override { return SampleOracle().text(); }
  std::string subject() const override {
    return GetParam() ? "encrypted samples" : "samples";
  }
  size_t every() const override { return 9; }
  std::string wrong_with(const std::string& folder,
                         const States& allowed) override {
    fs::create_directories(folder);
    const std::string copy = folder + "-copy";
    fs::remove_all(copy);
    fs::copy(folder, copy, fs::copy_options::recursive);
    const auto found = read_all(folder, key());
    if (!found.ok()) return found.status().message();
    const std::string wrong = wrong_unless_allowed(found->text(), allowed);
    if (!wrong.empty()) return wrong;
    for (const Status& status :
         {use(folder, *found, key()), delete_what_is_left(copy)})
      if (!status.ok()) return status.message();
    return "";
  }
};

INSTANTIATE_TEST_SUITE_P(, SampleFaults, testing::Bool(), plain_or_encrypted);

TEST_P(SampleFaults, APowerCutAnywhereLosesNothing) { cut_everywhere(); }
TEST_P(SampleFaults, ACallThatFailsLosesNothing) { fail_everywhere(); }

}  // namespace
}  // namespace ft::faults
