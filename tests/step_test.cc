// Memory truth on the eight MLPerf Tiny models: what the plan says is what a
// step uses, the plan lies at its lower bound, and a step allocates nothing.
#include "train/step.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "base/random.h"
#include "exec/session.h"
#include "tests/count_allocations.h"
#include "tests/real_inputs.h"

namespace ft {
namespace {

constexpr const char* kModels[] = {"kws_ref_model",    "kws_ref_model_float32",
                                   "pretrainedResnet", "pretrainedResnet_quant",
                                   "ad01_fp32",        "ad01_int8",
                                   "vww_96_float",     "vww_96_int8"};

struct Job {
  const char* method;
  Precision precision;
  int batch;
};

class StepOfModel
    : public testing::TestWithParam<std::tuple<const char*, Job>> {};

MethodSettings settings_of(const char* method, int r, int num_classes) {
  MethodSettings settings;
  settings.method = method;
  settings.r = r;
  settings.num_classes = num_classes;
  return settings;
}

void fill(Session& session, uint64_t seed) {
  const Random random(seed, "step_test");
  for (size_t i = 0; i < session.program().inputs.size(); ++i) {
    const TensorType& type = session.program().inputs[i].type;
    const auto bytes = session.input(i);
    std::ranges::fill(bytes, std::byte{0});
    if (type.dtype == DType::kF32)
      for (size_t k = 0; float& v : session.input_as<float>(i))
        v = 1e-3f * random.normal(k++);
    if (type.dtype == DType::kS8)
      for (size_t k = 0; std::byte & b : bytes)
        b = static_cast<std::byte>(random.bits(k++));
  }
}

TEST_P(StepOfModel, UsesWhatThePlanSaysAndAllocatesNothing) {
  const auto& [name, job] = GetParam();
  const std::string path =
      shared_path(std::string("models/mlperf_tiny/") + name + ".tflite");
  FT_SKIP_WITHOUT(path);
  auto base = load_base(path, job.precision, job.batch);
  ASSERT_TRUE(base.ok()) << base.status().message();
  const MethodSettings method = settings_of(job.method, 2, 0);
  auto step =
      compile_training(base->graph, {.method = method,
                                     .optimizer = {},
                                     .loss = natural_loss(base->graph, method),
                                     .plan = {}});
  ASSERT_TRUE(step.ok()) << step.status().message();
  const Program& program = step->program;
  auto session = Session::create(program);
  ASSERT_TRUE(session.ok());

  size_t used = 0;
  for (const std::byte pattern : {std::byte{0xA5}, std::byte{0x5A}}) {
    session->paint_arena(pattern);
    fill(*session, 1);
    session->run();
    used = std::max(used, session->painted_bytes_used(pattern));
  }
  EXPECT_EQ(used, program.arena_bytes);

  const size_t before = allocation_count();
  for (int i = 0; i < 3; ++i) session->run();
  EXPECT_EQ(allocation_count() - before, 0u);
  EXPECT_TRUE(session->guards_intact());

  const double ratio = static_cast<double>(program.arena_bytes) /
                       static_cast<double>(program.lower_bound_bytes);
  std::printf("%-24s %-5s %-6s batch %d: arena %zu lower bound %zu (%.4f)\n",
              name, job.method, std::string(name_of(job.precision)).c_str(),
              job.batch, program.arena_bytes, program.lower_bound_bytes, ratio);
  EXPECT_GE(ratio, 1.0);
  EXPECT_LE(ratio, 1.02);
}

std::string name_of_case(
    const testing::TestParamInfo<std::tuple<const char*, Job>>& info) {
  const auto& [name, job] = info.param;
  return std::string(name) + "_" + job.method + "_" +
         std::string(name_of(job.precision));
}

INSTANTIATE_TEST_SUITE_P(
    MlperfTiny, StepOfModel,
    testing::Combine(testing::ValuesIn(kModels),
                     testing::Values(Job{"lora", Precision::kMixed, 1},
                                     Job{"lora", Precision::kF32, 4},
                                     Job{"full", Precision::kF32, 1},
                                     Job{"full", Precision::kMixed, 1})),
    name_of_case);

// An adapter file holds the hash; machines with other rows must write the same.
TEST(PlanHash, DoesNotDependOnRowsOfEqualBits) {
  const std::string path =
      shared_path("models/mlperf_tiny/kws_ref_model.tflite");
  FT_SKIP_WITHOUT(path);
  auto base = load_base(path, Precision::kMixed, 1);
  ASSERT_TRUE(base.ok());
  std::set<std::string> hashes;
  for (const PlanOptions& plan :
       {PlanOptions{.exact = true}, PlanOptions{.c99_only = true}}) {
    auto step =
        compile_training(base->graph, {.method = settings_of("lora", 2, 5),
                                       .optimizer = {},
                                       .loss = Loss::kSoftmaxCrossEntropy,
                                       .plan = plan});
    ASSERT_TRUE(step.ok()) << step.status().message();
    hashes.insert(plan_hash(step->program));
  }
  EXPECT_EQ(hashes.size(), 1u);
}

// Sharing the persistent region lets evaluation see what training has learned.
TEST(Session, EvaluationSharesTheParametersOfTraining) {
  const std::string path =
      shared_path("models/mlperf_tiny/kws_ref_model.tflite");
  FT_SKIP_WITHOUT(path);
  auto base = load_base(path, Precision::kMixed, 1);
  ASSERT_TRUE(base.ok());
  const MethodSettings method = settings_of("lora", 2, 5);
  auto train =
      compile_training(base->graph, {.method = method,
                                     .optimizer = {},
                                     .loss = Loss::kSoftmaxCrossEntropy,
                                     .plan = {}});
  auto infer = compile_inference(base->graph, method, {});
  ASSERT_TRUE(train.ok() && infer.ok());
  auto a = Session::create(train->program);
  ASSERT_TRUE(a.ok());
  auto b = Session::create_sharing(infer->program, *a);
  ASSERT_TRUE(b.ok()) << b.status().message();
  const auto answer = [&] {
    fill(*b, 2);
    b->run();
    const auto y = b->output_as<float>(1);
    return std::vector<float>(y.begin(), y.end());
  };
  const auto before = answer();
  fill(*a, 3);
  a->input_as<float>(2)[0] = 0.01f;
  a->input_as<float>(2)[1] = a->input_as<float>(2)[2] = 10.0f;
  a->input_as<float>(2)[3] = 0;  // do not hold
  a->run();
  EXPECT_NE(answer(), before);
}

TEST(Budget, TooSmallNamesTheFullestStepAndTheSmallestBudget) {
  const std::string path =
      shared_path("models/mlperf_tiny/kws_ref_model.tflite");
  FT_SKIP_WITHOUT(path);
  auto base = load_base(path, Precision::kMixed, 1);
  ASSERT_TRUE(base.ok());
  const MethodSettings method = settings_of("lora", 4, 10);
  auto step = compile_training(base->graph, {.method = method,
                                             .optimizer = {},
                                             .loss = Loss::kSoftmaxCrossEntropy,
                                             .plan = {}});
  ASSERT_TRUE(step.ok());
  const size_t need = step->program.ram_bytes();
  EXPECT_TRUE(check_budget(step->program, need).ok());
  const Status status = check_budget(step->program, need - 1);
  EXPECT_EQ(status.code(), Code::kDoesNotFit);
  EXPECT_NE(status.message().find(std::to_string(need)), std::string::npos);
  EXPECT_NE(status.message().find("fullest"), std::string::npos);
}

}  // namespace
}  // namespace ft
