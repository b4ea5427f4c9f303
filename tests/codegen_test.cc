// Printed C99, compiled by this machine's C compiler, computes what a Session
// computes: the same bits after training steps, whole or in slices.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/random.h"
#include "codegen/device_model.h"
#include "exec/session.h"
#include "tests/real_inputs.h"
#include "train/samples.h"
#include "train/step.h"

namespace ft {
namespace {

constexpr int kSteps = 5;
constexpr uint64_t kSeed = 7;

// Reads samples from stdin, trains, then infers: prints all persistent bytes
// and the answer.
constexpr const char* kDriver = R"(
#include <stdio.h>
#include <stdlib.h>
#include "ft_model.h"
static ft_model model;
static unsigned char state[FT_STATE_BYTES];
static void run_step(void) {
#ifdef SLICED
  while (ft_train_poll(&model, 1000) == FT_BUSY) {
    ft_infer(&model);
    /* Some parameters are updated, others are not yet. */
    if (ft_save_state(&model, state) != FT_BUSY) exit(4);
  }
#else
  if (ft_train_step(&model) != FT_OK) return;
#endif
}
int main(void) {
  int i;
  ft_init(&model);
  for (i = 0; i < STEPS; ++i) {
    if (fread(ft_train_input(&model), 1, INPUT, stdin) != INPUT) return 1;
    if (fread(ft_train_target(&model), 1, TARGET, stdin) != TARGET) return 1;
    run_step();
    /* As after a reset: everything that counts is in the state. */
    ft_save_state(&model, state);
    ft_init(&model);
    if (ft_load_state(&model, state) != FT_OK) return 2;
  }
  if (fread(ft_infer_input(&model), 1, INPUT, stdin) != INPUT) return 1;
  ft_infer(&model);
  fwrite(model.persistent, 1, FT_PERSISTENT_BYTES, stdout);
  fwrite(ft_infer_answer(&model), 1, ANSWER, stdout);
  state[0] ^= 1;
  return ft_load_state(&model, state) == FT_BAD_STATE ? 0 : 3;
}
)";

struct Case {
  const char* model;
  const char* method;
  Precision precision;
  bool sliced = false;
};

std::string name_of_case(const testing::TestParamInfo<Case>& info) {
  std::string name = fmt::format(
      "{}_{}_{}{}", info.param.model, info.param.method,
      name_of(info.param.precision), info.param.sliced ? "_sliced" : "");
  std::ranges::replace(name, '-', '_');
  return name;
}

std::string model_path(const std::string& name) {
  if (name == "demo") return FT_SOURCE_DIR "/examples/demo/keyword_base.tflite";
  return shared_path("models/mlperf_tiny/" + name + ".tflite");
}

void write_text(const std::filesystem::path& path, const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  ASSERT_TRUE(write_file_atomically(path.string(), bytes).ok());
}

class Codegen : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
#ifdef FT_SANITIZED
    if (GetParam().precision == Precision::kF32 || GetParam().sliced)
      GTEST_SKIP()
          << "printing is sanitized in other cases; printed code is not";
#endif
    FT_SKIP_WITHOUT(model_path(GetParam().model));
    folder_ =
        std::filesystem::temp_directory_path() /
        fmt::format(
            "ft_codegen_{}_{}", ::getpid(),
            testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    compile();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void compile() {
    const Case& c = GetParam();
    auto base = load_base(model_path(c.model), c.precision, 1);
    ASSERT_TRUE(base.ok()) << base.status().message();
    MethodSettings method;
    method.method = c.method;
    method.r = 4;
    method.num_classes = 5;
    const PlanOptions plan{.device = std::vector<Isa>{}, .exact = true};
    auto train = compile_training(base->graph, {.method = method,
                                                .optimizer = optimizer_,
                                                .plan = plan,
                                                .precision = c.precision});
    ASSERT_TRUE(train.ok()) << train.status().message();
    auto infer = compile_inference(base->graph, method, plan, c.precision);
    ASSERT_TRUE(infer.ok()) << infer.status().message();
    train_ = std::make_unique<CompiledStep>(std::move(*train));
    infer_ = std::make_unique<CompiledStep>(std::move(*infer));
  }

  codegen::PrintedModel print() {
    auto printed = codegen::print_device_model(
        {.infer = &infer_->program,
         .train = &train_->program,
         .schedule = schedule_of(optimizer_, kSteps),
         .seed = kSeed,
         .integer = GetParam().precision == Precision::kInteger,
         .sliced = GetParam().sliced,
         .title = "test"});
    EXPECT_TRUE(printed.ok()) << printed.status().message();
    return printed.ok() ? std::move(*printed) : codegen::PrintedModel{};
  }

  void build(const codegen::PrintedModel& printed) {
    std::string sources;
    for (const codegen::OutputFile& f : printed.files) {
      std::filesystem::create_directories((folder_ / f.path).parent_path());
      write_text(folder_ / f.path, f.text);
      if (f.path.ends_with(".c")) sources += " " + f.path;
    }
    write_text(folder_ / "driver.c", kDriver);
    const std::string command = fmt::format(
        "cd {} && cc -std=c99 -O1 -ffp-contract=off -Wall -Wextra -Wpedantic "
        "-Wconversion -Werror -I. -DSTEPS={} -DINPUT={} -DTARGET={} "
        "-DANSWER={} "
        "{} driver.c{} -lm -o driver",
        folder_.string(), kSteps, train_->program.inputs[0].type.num_bytes(),
        train_->program.inputs[1].type.num_bytes(),
        infer_->program.outputs[1].type.num_bytes(),
        GetParam().sliced ? "-DSLICED" : "", sources);
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }

  // What the driver reads, and what a Session makes of it.
  void run_here(std::string& samples, std::string& expected) {
    auto session = Session::create(train_->program);
    ASSERT_TRUE(session.ok());
    const Random random(kSeed, "codegen_test");
    uint64_t counter = 0;
    const auto fill = [&](std::span<std::byte> to, DType dtype) {
      for (size_t i = 0; i < to.size() / size_of(dtype); ++i) {
        const uint64_t bits = random.bits(counter++);
        const float real = random.uniform(counter++);
        const auto label = static_cast<int32_t>(bits % 5);
        const void* from = &bits;
        if (dtype == DType::kF32) from = &real;
        if (dtype == DType::kS32) from = &label;
        std::memcpy(to.data() + i * size_of(dtype), from, size_of(dtype));
      }
      samples.append(reinterpret_cast<const char*>(to.data()), to.size());
    };
    const auto& in = train_->program.inputs;
    for (int step = 0; step < kSteps; ++step) {
      fill(session->input(0), in[0].type.dtype);
      fill(session->input(1), in[1].type.dtype);
      write_hyper(*session, optimizer_, step, kSteps, kSeed);
      session->run();
    }
    auto infer = Session::create_sharing(infer_->program, *session);
    ASSERT_TRUE(infer.ok());
    fill(infer->input(0), infer_->program.inputs[0].type.dtype);
    infer->run();
    const auto append = [&expected](std::span<const std::byte> bytes) {
      expected.append(reinterpret_cast<const char*>(bytes.data()),
                      bytes.size());
    };
    append(session->all_persistent());
    append(infer->output(1));
  }

  OptimizerSettings optimizer_{.lr = 0.01};
  std::unique_ptr<CompiledStep> train_, infer_;
  std::filesystem::path folder_;
};

TEST_P(Codegen, ComputesTheSameBits) {
  const codegen::PrintedModel printed = print();
  ASSERT_FALSE(printed.files.empty());
  build(printed);
  if (HasFatalFailure()) return;
  std::string samples, expected;
  run_here(samples, expected);
  write_text(folder_ / "samples", samples);
  const std::string command =
      fmt::format("cd {} && ./driver < samples > answer", folder_.string());
  ASSERT_EQ(std::system(command.c_str()), 0);
  const auto answer = read_text_file((folder_ / "answer").string());
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(*answer == expected)
      << "first difference at byte "
      << std::ranges::mismatch(*answer, expected).in1 - answer->begin()
      << " of " << expected.size();
  EXPECT_EQ(printed.sizes.persistent_bytes, train_->program.persistent_bytes);
}

INSTANTIATE_TEST_SUITE_P(
    , Codegen,
    testing::Values(Case{"demo", "lora", Precision::kMixed},
                    Case{"demo", "lora", Precision::kInteger},
                    Case{"demo", "bottleneck", Precision::kF32, true},
                    Case{"demo", "sparse", Precision::kInteger, true},
                    Case{"pretrainedResnet_quant", "ia3", Precision::kMixed},
                    Case{"kws_ref_model_float32", "lora", Precision::kF32}),
    name_of_case);

}  // namespace
}  // namespace ft
