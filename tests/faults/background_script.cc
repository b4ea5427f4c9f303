// A training in the background in one process, for a recorder of faults:
// publishes signed versions into a folder and a store, with a checkpoint after
// every step, and promotes each. Its model is so small that compiling it takes
// no time.
//
//   background_fault_script model FILE
//   background_fault_script train FOLDER IN       exit 0: done; 5: a call
//   failed background_fault_script finish FOLDER IN WHOLE
//
// IN has `model` and `key`. `finish` trains what a fault left to its end and
// looks at it: the versions are those of WHOLE, a training that nothing
// disturbed, byte for byte; the store has each once, and the last is active.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
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
#include "formats/tflite/test_model.h"

namespace ft::faults {
namespace {

namespace fs = std::filesystem;
using fieldtune::AdapterStore;
using fieldtune::BackgroundTraining;

constexpr int kClasses = 3, kSamples = 24;
constexpr size_t kFeatures = 60;
constexpr int64_t kSteps = 12, kPublishEvery = 4;

std::string store_of(const std::string& folder) { return folder + "/store"; }

Result<AdapterStore> open_store(const std::string& folder) {
  if (!fs::exists(store_of(folder) + "/store.toml"))
    FT_TRY_STATUS(AdapterStore::init(store_of(folder)));
  return AdapterStore::open(store_of(folder));
}

Status promote(AdapterStore& store, const std::string& file) {
  FT_TRY(const auto added, store.add(file, {.name = "mine"}));
  FT_TRY(const auto used, store.use("mine", added.adapter.version));
  // Told of it again, as nobody knows whether the first time was lost.
  if (used.slot == fieldtune::Slot::kConfirmed) return ok_status();
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

Status train(const std::string& folder, const std::string& in) {
  const std::string model = in + "/model.tflite";
  FT_TRY(AdapterStore store, open_store(folder));
  FT_TRY(auto runtime, fieldtune::Runtime::open(model));
  fieldtune::BackgroundOptions options{
      .training = {.rank = 2,
                   .target_modules = {"conv2d"},
                   .classes = {"low", "middle", "high"},
                   .batch = 4,
                   .total_steps = kSteps},
      .name = "mine",
      .folder = folder,
      .publish_every = kPublishEvery,
      .least_gain = -1,
      .signing_key = in + "/key",
      .on_published =
          [&store](const std::string& file) { return promote(store, file); },
      .idle_class = false,
      .checkpoint = folder + "/checkpoint",
      .checkpoint_seconds = 0};
  FT_TRY(BackgroundTraining training,
         BackgroundTraining::start(runtime, model, options));
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

std::string version_in(const std::string& folder, int64_t version) {
  return fmt::format("{}/mine-v{}.safetensors", folder, version);
}

Status check_store(const std::string& folder,
                   const std::vector<std::string>& digests) {
  FT_TRY(AdapterStore store, AdapterStore::open(store_of(folder)));
  // Repairing removes files that an interrupted change left, and no others.
  FT_TRY(const auto problems, store.verify(true));
  for (const auto& problem : problems)
    if (!problem.repaired) return internal_error(problem.what);
  FT_TRY(const auto rows, store.list("mine"));
  std::vector<std::string> stored;
  for (const auto& row : rows) stored.push_back(row.sha256);
  if (stored != digests)
    return internal_error(
        fmt::format("the store has {} versions, and not the "
                    "folder's {} in their order",
                    stored.size(), digests.size()));
  FT_TRY(const auto active, store.active("mine"));
  if (active.sha256 != digests.back())
    return internal_error("the store's active version is not the last one");
  return ok_status();
}

Status check(const std::string& folder, const std::string& in,
             const std::string& whole) {
  FT_TRY(const PublicKey trusted, load_public_key(in + "/key.pub"));
  const LoadRules rules{.policy = {.keys = {{"mine", trusted, false}},
                                   .require_signature = true}};
  std::vector<std::string> digests;
  for (int64_t version = 1; version <= kSteps / kPublishEvery; ++version) {
    const std::string path = version_in(folder, version);
    FT_TRY(const MappedFile file, MappedFile::open(path));
    FT_TRY(const Adapter adapter, load_checked(file.bytes(), rules, path));
    if (adapter.get("parent_sha256") != (digests.empty() ? "" : digests.back()))
      return internal_error(path + " is not the child of the version before");
    FT_TRY(const MappedFile same, MappedFile::open(version_in(whole, version)));
    if (!std::ranges::equal(file.bytes(), same.bytes()))
      return internal_error(path + " is not that of an undisturbed run");
    digests.push_back(sha256_hex(file.bytes()));
  }
  if (fs::exists(version_in(folder, kSteps / kPublishEvery + 1)))
    return internal_error("a version was published twice");
  return check_store(folder, digests);
}

Status finish(const std::string& folder, const std::string& in,
              const std::string& whole) {
  FT_TRY_STATUS(train(folder, in));
  return check(folder, in, whole);
}

Result<int> run(const std::vector<std::string>& args) {
  Status status =
      usage_error("model FILE | train FOLDER IN | finish FOLDER IN WHOLE");
  if (args.size() == 2 && args[0] == "model")
    status = write_file_atomically(args[1], testing::small_int8_model());
  if (args.size() == 3 && args[0] == "train") status = train(args[1], args[2]);
  if (args.size() == 4 && args[0] == "finish")
    status = finish(args[1], args[2], args[3]);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  return status.code() == Code::kIo ? 5 : 1;
}

}  // namespace
}  // namespace ft::faults

int main(int argc, char** argv) {
  return ft::faults::run({argv + 1, argv + argc}).value();
}
