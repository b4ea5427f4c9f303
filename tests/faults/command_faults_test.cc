// Power cuts and failing calls at every write of the commands that write files:
// each file is the old one or the new one, and the command run once more ends
// as it does without a fault, with nothing left over.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/file.h"
#include "base/random.h"
#include "data/npy.h"
#include "tests/faults/fault_run.h"

namespace ft::faults {
namespace {

constexpr const char* kModel =
    FT_SOURCE_DIR "/examples/demo/keyword_base.tflite";
constexpr int kSamples = 18, kClasses = 3;
constexpr size_t kFeatures = 490;

class CommandFaults : public FaultTest {
 protected:
  void SetUp() override {
    FaultTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_TRUE(std::filesystem::exists(program("fieldtune")));
    write_samples();
  }

  // Three classes that differ in which third of the features is bright.
  void write_samples() const {
    const Random random(1, "samples");
    std::vector<float> x;
    std::vector<int32_t> y;
    for (int i = 0; i < kSamples; ++i) {
      y.push_back(i % kClasses);
      for (size_t f = 0; f < kFeatures; ++f)
        x.push_back(3 * random.normal(x.size()) +
                    (f * kClasses / kFeatures == static_cast<size_t>(y.back())
                         ? 12.0f
                         : -6.0f));
    }
    write_array("/x.npy", DType::kF32, {kSamples, 49, 10, 1}, x);
    write_array("/y.npy", DType::kS32, {kSamples}, y);
  }
  template <class T>
  void write_array(const std::string& name, DType dtype,
                   const std::vector<int64_t>& shape,
                   const std::vector<T>& values) const {
    const auto bytes =
        write_npy(dtype, shape, std::as_bytes(std::span(values)));
    ASSERT_TRUE(bytes.ok()) << bytes.status().message();
    ASSERT_TRUE(write_file_atomically(in() + name, *bytes).ok());
  }

  // A training of 15 steps whose checkpoints have a best and a history.
  static std::string train(const std::string& options) {
    return std::string("{here}fieldtune train ") + kModel +
           " --data {in}/x.npy --labels {in}/y.npy --new-head "
           "--batch 4 --target-modules pointwise4 --validation 0.25 " +
           (options.find("--rank") == options.npos ? "--rank 2 " : "") +
           options;
  }
  // Two versions of an adapter and a key.
  void make_adapters() const {
    shell(train("--epochs 3 --out {in}/v1.safetensors"));
    shell(
        train("--epochs 3 --seed 9 --init-adapter {in}/v1.safetensors "
              "--out {in}/v2.safetensors"));
    shell("{here}fieldtune keys generate {in}/key");
  }
};

constexpr const char* kAgain =
    "--epochs 5 --checkpoint-every 1 --out {root}/a.safetensors";

TEST_F(CommandFaults, Training) {
  explore({.name = "train with checkpoints",
           .command = train(kAgain),
           .retry = train(std::string(kAgain) + " --resume")});
}

// A checkpoint of the same run, further on, and of another one: until ours is
// there, theirs can be gone on from, or none is there.
TEST_F(CommandFaults, TrainingWhereACheckpointLies) {
  explore({.name = "train over a checkpoint of its own",
           .before = train(std::string(kAgain) + " --stop-after 11") +
                     "; test $? = 5",
           .command = train(kAgain),
           .retry = train(std::string(kAgain) + " --resume")});
  const std::string other = train(std::string(kAgain) + " --seed 5");
  explore({.name = "train over another run's checkpoint",
           .before = other + " --stop-after 11; test $? = 5",
           .command = train(kAgain),
           .retry = train(std::string(kAgain) + " --resume") +
                    " || { test $? = 3 && " + other + " --resume && " +
                    train(kAgain) + "; }"});
}

TEST_F(CommandFaults, Deltas) {
  make_adapters();
  const std::string apply =
      "{here}fieldtune delta apply {root}/v1 {root}/delta -o {root}/out";
  const std::string before =
      "cp {in}/v1.safetensors {root}/v1 && cp {in}/delta {root}/delta";
  shell(
      "{here}fieldtune delta make {in}/v1.safetensors {in}/v2.safetensors "
      "-o {in}/delta");
  explore({.name = "delta apply",
           .before = before,
           .command = apply,
           .retry = apply + " && cmp {root}/out {in}/v2.safetensors"});
  explore({.name = "delta apply over a file",
           .before = before + " && cp {in}/v1.safetensors {root}/out",
           .command = apply,
           .retry = apply + " && cmp {root}/out {in}/v2.safetensors"});
  const std::string make =
      "{here}fieldtune delta make {in}/v1.safetensors {in}/v2.safetensors "
      "--bits 8 --result {root}/result -o {root}/delta";
  explore({.name = "delta make", .command = make, .retry = make});
}

TEST_F(CommandFaults, KeysAndSignatures) {
  make_adapters();
  // A pair, a signing key that says its public one, or nothing. The model of
  // the disk has no modes.
  explore({.name = "keys generate",
           .command = "{here}fieldtune keys generate {root}/key",
           .retry = "if [ -e {root}/key ]; then chmod 600 {root}/key && "
                    "{here}fieldtune keys show {root}/key && "
                    "{ [ ! -e {root}/key.pub ] || "
                    "{here}fieldtune keys show {root}/key.pub; }; else "
                    "[ ! -e {root}/key.pub ]; fi && "
                    "{here}fieldtune keys generate {root}/another",
           .same_files = false});
  const std::string sign =
      "{here}fieldtune sign {in}/v1.safetensors --key {in}/key "
      "-o {root}/signed";
  explore({.name = "sign", .command = sign, .retry = sign});
  const std::string in_place =
      "{here}fieldtune sign {root}/v1 --key {in}/key -o {root}/v1";
  explore({.name = "sign in place",
           .before = "cp {in}/v1.safetensors {root}/v1",
           .command = in_place,
           .retry = in_place});
  const std::string trust =
      "{here}fieldtune keys trust mine {in}/key.pub --policy {root}/policy";
  const std::string revoke =
      "{here}fieldtune keys revoke mine --policy {root}/policy";
  // The policy is whole where there is one: it can be changed.
  explore(
      {.name = "keys trust",
       .command = trust,
       .retry = "{ grep mine {root}/policy || " + trust + "; } && " + revoke,
       .same_files = false});
  explore({.name = "keys revoke",
           .before = trust,
           .command = revoke,
           .retry = revoke});
}

TEST_F(CommandFaults, Exports) {
  make_adapters();
  const auto export_of = [](const std::string& version,
                            const std::string& options) {
    return "{here}fieldtune export {in}/" + version + ".safetensors " + options;
  };
  const std::string half = "--to fieldtune --adapter-dtype f16 -o {root}/half";
  explore({.name = "export as another dtype",
           .before = export_of("v1", half),
           .command = export_of("v2", half),
           .retry = export_of("v2", half)});
  const std::string peft =
      std::string("--to peft --model ") + kModel + " -o {root}/peft";
  explore({.name = "export to PEFT",
           .command = export_of("v2", peft),
           .retry = export_of("v2", peft)});
  // Where there is a configuration, its tensors are those that it was written
  // with; these have another rank.
  shell(train("--rank 4 --epochs 1 --out {in}/v3.safetensors"));
  for (const char* v : {"v1", "v3"})
    shell(export_of(v, peft + " && mkdir -p {in}/peft && mv {root}/peft "
                              "{in}/peft/") +
          v);
  const auto is = [](const std::string& v) {
    return "diff -r -x '*ft-tmp*' {root}/peft {in}/peft/" + v;
  };
  explore({.name = "export to PEFT over a folder",
           .before = export_of("v1", peft),
           .command = export_of("v3", peft),
           .retry = "{ [ ! -e {root}/peft/adapter_config.json ] || " +
                    is("v1") + " || " + is("v3") + "; } && " +
                    export_of("v3", peft)});
}

TEST_F(CommandFaults, AFileFromTheStore) {
  make_adapters();
  shell(
      "{here}fieldtune store init {in}/store && "
      "{here}fieldtune store add {in}/store {in}/v1.safetensors --name a");
  const std::string out =
      "{here}fieldtune store export {in}/store a@1 -o {root}/a";
  explore({.name = "store export", .command = out, .retry = out});
}

}  // namespace
}  // namespace ft::faults
