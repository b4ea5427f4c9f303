// One step of integer training on int8 models: the forward pass is the deployed
// one, and no kernel of the step knows a float.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "base/random.h"
#include "exec/session.h"
#include "tests/count_allocations.h"
#include "tests/integer_models.h"
#include "train/answers.h"
#include "train/step.h"

namespace ft {
namespace {

class IntegerStep : public testing::TestWithParam<const char*> {
 protected:
  Result<CompiledStep> train(const char* method, Precision precision,
                             const PlanOptions& plan = {},
                             const OptimizerSettings& optimizer = {}) {
    FT_TRY(const BaseModel base,
           load_base(model_path(GetParam()), precision, 1));
    const bool classes = find_classes(base.graph) > 0;
    const MethodSettings settings = settings_of(method, classes ? 5 : 0);
    return compile_training(base.graph,
                            {.method = settings,
                             .optimizer = optimizer,
                             .loss = natural_loss(base.graph, settings),
                             .plan = plan,
                             .precision = precision});
  }
  static int64_t find_classes(const Graph& graph) {
    return natural_loss(graph, {}) == Loss::kMse ? 0 : 1;
  }
};

// No new head, and LoRA's B is zero or (IA)3's gains are 1: nothing differs
// from what is deployed.
void expect_deployed_forward(const char* model, const MethodSettings& method) {
  std::vector<Session> sessions;
  std::vector<CompiledStep> steps;
  for (const Precision p : {Precision::kMixed, Precision::kInteger}) {
    auto base = load_base(model_path(model), p, 1);
    ASSERT_TRUE(base.ok()) << base.status().message();
    auto step = compile_inference(base->graph, method, {}, p);
    ASSERT_TRUE(step.ok()) << step.status().message();
    steps.push_back(std::move(*step));
  }
  for (const CompiledStep& step : steps)
    sessions.push_back(Session::create(step.program).value());
  const Random random(1, "integer_test");
  for (uint64_t round = 0; round < 3; ++round) {
    for (Session& s : sessions) {
      for (size_t k = 0; std::byte & b : s.input(0))
        b = static_cast<std::byte>(random.bits(round << 32 | k++));
      s.run();
    }
    EXPECT_TRUE(
        std::ranges::equal(sessions[0].output(0), sessions[1].output(0)));
    EXPECT_EQ(read_answer(sessions[0]), read_answer(sessions[1]));
  }
}

TEST_P(IntegerStep, ForwardEqualsMixedBitForBit) {
  FT_SKIP_WITHOUT(model_path(GetParam()));
  for (const char* method :
       {"lora", "parallel", "sparse", "ia3", "full", "block-lora", "dora"})
    expect_deployed_forward(GetParam(), settings_of(method, 0));
}

// tools/integer_kernels.txt names the kernels whose object code was checked to
// hold no floating-point instruction (tools/check_no_float.py).
std::set<std::string> checked_kernels() {
  std::ifstream list(FT_SOURCE_DIR "/tools/integer_kernels.txt");
  std::set<std::string> symbols;
  for (std::string line; std::getline(list, line);) {
    if (line.starts_with("#")) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    for (std::string word; words >> word;) symbols.insert(word);
  }
  return symbols;
}

TEST_P(IntegerStep, KnowsNoFloat) {
  FT_SKIP_SANITIZED();
  FT_SKIP_WITHOUT(model_path(GetParam()));
  const std::set<std::string> checked = checked_kernels();
  ASSERT_FALSE(checked.empty());
  for (const char* method :
       {"lora", "lora biases", "lora-fa", "vera", "bitfit", "bottleneck",
        "parallel", "ia3", "sparse", "sparse channels", "head", "full",
        "block-lora", "dora"}) {
    const std::string model = GetParam(), name = method;
    if (model == "ad01_int8" && name == "head") continue;
    // The large models have the ops of the small ones.
    if (model == "vww_96_int8" && name != "lora") continue;
    const double fraction = name == "sparse" ? 0.5 : 1;
    auto step = train(method, Precision::kInteger, {.c99_only = true},
                      {.update_fraction = fraction});
    ASSERT_TRUE(step.ok()) << step.status().message();
    const Program& program = step->program;
    for (const KernelCall& call : program.calls)
      EXPECT_TRUE(checked.contains(std::string(call.kernel->symbol)))
          << call.kernel->symbol << " of "
          << program.graph.node(call.node).name;
    for (const auto* bindings :
         {&program.inputs, &program.outputs, &program.persistent})
      for (const Binding& b : *bindings)
        EXPECT_NE(b.type.dtype, DType::kF32) << b.name;
  }
}

TEST_P(IntegerStep, NeedsLessMemoryThanMixedAndAllocatesNothing) {
  FT_SKIP_WITHOUT(model_path(GetParam()));
  auto mixed = train("lora", Precision::kMixed);
  auto integer = train("lora", Precision::kInteger);
  ASSERT_TRUE(mixed.ok() && integer.ok());
  const Program& p = integer->program;
  std::printf(
      "%-24s mixed %zu + %zu + %zu, integer %zu + %zu + %zu (arena, "
      "persistent, scratch)\n",
      GetParam(), mixed->program.arena_bytes, mixed->program.persistent_bytes,
      mixed->program.scratch_bytes, p.arena_bytes, p.persistent_bytes,
      p.scratch_bytes);
  EXPECT_LT(p.ram_bytes(), mixed->program.ram_bytes());
  // Small buffers are rounded up to 16 bytes each, which the bound leaves out.
  EXPECT_LE(p.arena_bytes, p.lower_bound_bytes * 102 / 100 + 128);
  auto session = Session::create(p);
  ASSERT_TRUE(session.ok());
  session->run();
  const size_t before = allocation_count();
  for (int i = 0; i < 3; ++i) session->run();
  EXPECT_EQ(allocation_count() - before, 0u);
  EXPECT_TRUE(session->guards_intact());
}

INSTANTIATE_TEST_SUITE_P(Models, IntegerStep,
                         testing::Values("demo", "kws_ref_model",
                                         "pretrainedResnet_quant", "ad01_int8",
                                         "vww_96_int8"));

}  // namespace
}  // namespace ft
