// A training in the background in one process, for a recorder of faults:
// publishes signed versions into a folder and a store, with a checkpoint, and
// promotes each.
//
//   background_fault_script train FOLDER KEY    exit 0: done; 5: a call failed
//   background_fault_script check FOLDER KEY REFERENCE
//
// `check` looks at what train left: every version is whole, signed, and the
// child of the one before; the store's active one is one of them; and the last
// has the tensors of the file REFERENCE, of a training that nothing disturbed.
#include <fmt/format.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "adapters/signing_key.h"
#include "adapters/trust/load_checks.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/random.h"
#include "fieldtune/adapter_store.h"
#include "fieldtune/background_training.h"

namespace ft::faults {
namespace {

namespace fs = std::filesystem;
using fieldtune::AdapterStore;
using fieldtune::BackgroundTraining;

constexpr const char* kModel =
    FT_SOURCE_DIR "/examples/demo/keyword_base.tflite";
constexpr int kClasses = 3, kSamples = 24;
constexpr size_t kFeatures = 490;
constexpr int64_t kSteps = 12, kPublishEvery = 4;

std::string store_of(const std::string& folder) { return folder + "/store"; }

Result<AdapterStore> open_store(const std::string& folder) {
  if (!fs::exists(store_of(folder) + "/store.toml"))
    FT_TRY_STATUS(AdapterStore::init(store_of(folder)));
  return AdapterStore::open(store_of(folder));
}

Status promote(AdapterStore& store, const std::string& file) {
  FT_TRY(const auto added, store.add(file, {.name = "mine"}));
  FT_TRY_STATUS(store.use("mine", added.adapter.version).status());
  return store.confirm("mine").status();
}

Status teach(BackgroundTraining& training) {
  for (int i = 0; i < kSamples; ++i) {
    const Random random(static_cast<uint64_t>(i), "sample");
    const auto label = static_cast<size_t>(i % kClasses);
    std::vector<float> x(kFeatures);
    for (size_t f = 0; f < kFeatures; ++f)
      x[f] = 3 * random.normal(f) +
             (f * kClasses / kFeatures == label ? 12.0f : -6.0f);
    FT_TRY_STATUS(training.add_sample(x, static_cast<int32_t>(label)));
  }
  return ok_status();
}

Status train(const std::string& folder, const std::string& key) {
  FT_TRY(AdapterStore store, open_store(folder));
  FT_TRY(auto runtime, fieldtune::Runtime::open(kModel));
  fieldtune::BackgroundOptions options{
      .training = {.rank = 2,
                   .target_modules = {"pointwise4"},
                   .classes = {"low", "middle", "high"},
                   .batch = 4,
                   .total_steps = kSteps},
      .name = "mine",
      .folder = folder,
      .publish_every = kPublishEvery,
      .least_gain = -1,
      .signing_key = key,
      .on_published =
          [&store](const std::string& file) { return promote(store, file); },
      .idle_class = false,
      .checkpoint = folder + "/checkpoint"};
  FT_TRY(BackgroundTraining training,
         BackgroundTraining::start(runtime, kModel, options));
  training.pause();  // which samples a step draws depends on how many there are
  FT_TRY_STATUS(teach(training));
  training.resume();
  training.wait();
  const auto progress = training.progress();
  FT_TRY_STATUS(training.stop());
  if (progress.state == fieldtune::BackgroundProgress::State::kFinished)
    return ok_status();
  return io_error(progress.message);
}

Result<Adapter> load(const std::string& path, const LoadRules& rules) {
  FT_TRY(const MappedFile file, MappedFile::open(path));
  return load_checked(file.bytes(), rules, path);
}

bool same_tensors(const Adapter& a, const Adapter& b) {
  if (a.tensors.size() != b.tensors.size()) return false;
  for (size_t i = 0; i < a.tensors.size(); ++i)
    if (a.tensors[i].name != b.tensors[i].name ||
        a.tensors[i].values != b.tensors[i].values)
      return false;
  return true;
}

Status check_store(const std::string& folder,
                   const std::vector<std::string>& digests) {
  FT_TRY(AdapterStore store, AdapterStore::open(store_of(folder)));
  // Repairing removes files that an interrupted change left, and no others.
  FT_TRY(const auto problems, store.verify(true));
  for (const auto& problem : problems)
    if (!problem.repaired) return internal_error(problem.what);
  FT_TRY(const auto active, store.active("mine"));
  if (active.sha256 != digests.back())
    return internal_error("the store's active version is not the last one");
  return ok_status();
}

Status check(const std::string& folder, const std::string& key,
             const std::string& reference) {
  FT_TRY(const PublicKey trusted, load_public_key(key + ".pub"));
  const LoadRules rules{.policy = {.keys = {{"mine", trusted, false}},
                                   .require_signature = true}};
  std::vector<std::string> digests;
  Adapter last;
  for (int version = 1;; ++version) {
    const std::string path =
        fmt::format("{}/mine-v{}.safetensors", folder, version);
    if (!fs::exists(path)) break;
    FT_TRY(last, load(path, rules));
    const std::string parent = last.get("parent_sha256");
    if (parent != (digests.empty() ? "" : digests.back()))
      return internal_error(path + " is not the child of the version before");
    FT_TRY(const MappedFile file, MappedFile::open(path));
    digests.push_back(sha256_hex(file.bytes()));
  }
  if (digests.size() < kSteps / kPublishEvery)
    return internal_error(fmt::format("{} versions", digests.size()));
  FT_TRY(const Adapter whole, load(reference, rules));
  if (!same_tensors(last, whole))
    return internal_error("the last version is not that of an undisturbed run");
  return check_store(folder, digests);
}

Result<int> run(const std::vector<std::string>& args) {
  Status status = usage_error("train FOLDER KEY | check FOLDER KEY REFERENCE");
  if (args.size() == 3 && args[0] == "train") status = train(args[1], args[2]);
  if (args.size() == 4 && args[0] == "check")
    status = check(args[1], args[2], args[3]);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  return status.code() == Code::kIo ? 5 : 1;
}

}  // namespace
}  // namespace ft::faults

int main(int argc, char** argv) {
  return ft::faults::run({argv + 1, argv + argc}).value();
}
