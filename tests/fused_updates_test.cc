// An update that is joined with its gradient gives the parameters the bits that
// the two apart give, in floats and integers, and needs no more memory.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "exec/session.h"
#include "tests/integer_models.h"
#include "train/samples.h"
#include "train/step.h"

namespace ft {
namespace {

struct Case {
  const char* method;
  Precision precision;
  OptimizerSettings optimizer;
};

std::vector<Case> cases() {
  OptimizerSettings plain, heavy, adamw;
  plain.optimizer = heavy.optimizer = "sgd";
  plain.momentum = 0;
  heavy.nesterov = true;
  heavy.weight_decay = adamw.weight_decay = 0.01;
  std::vector<Case> all;
  for (const Precision p : {Precision::kF32, Precision::kInteger}) {
    for (const OptimizerSettings& o : {plain, heavy, adamw})
      all.push_back({"full", p, o});
    all.push_back({"lora", p, adamw});
  }
  return all;
}

Result<CompiledStep> compile(const Graph& base, const Case& c, bool fuses) {
  return compile_training(base,
                          {.method = settings_of(c.method, 5),
                           .optimizer = c.optimizer,
                           .plan = {.exact = true, .placement_rounds = 100},
                           .precision = c.precision,
                           .fuse_updates = fuses});
}

void run_steps(Session& s, const OptimizerSettings& optimizer) {
  constexpr int64_t kSteps = 3;
  const Random random(1, "fused");
  for (int64_t step = 0; step < kSteps; ++step) {
    const bool integer = s.program().inputs[2].type.dtype == DType::kS32;
    std::vector<float> x(
        static_cast<size_t>(s.program().inputs[0].type.shape.num_elements()));
    for (size_t k = 0; k < x.size(); ++k)
      x[k] = 3 * random.normal(static_cast<uint64_t>(step) << 32 | k);
    write_features(s.input(0), s.program().inputs[0].type, 0, x);
    s.input_as<int32_t>(1)[0] = static_cast<int32_t>(step % 5);
    if (integer)
      std::ranges::copy(integer_hyper_values(optimizer, step, kSteps, 7),
                        s.input_as<int32_t>(2).begin());
    else
      std::ranges::copy(hyper_values(optimizer, step, kSteps),
                        s.input_as<float>(2).begin());
    s.run();
  }
}

int fused_calls(const Program& program) {
  int count = 0;
  for (const KernelCall& call : program.calls)
    count += call.kernel->symbol.find("outer_") != std::string_view::npos;
  return count;
}

TEST(FusedUpdates, GiveTheBitsOfTheTwoApart) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(fmt::format("{} {} {}", c.method, name_of(c.precision),
                             c.optimizer.optimizer));
    const auto base = load_base(model_path("demo"), c.precision, 1);
    ASSERT_TRUE(base.ok()) << base.status().message();
    const auto fused = compile(base->graph, c, true);
    const auto apart = compile(base->graph, c, false);
    ASSERT_TRUE(fused.ok()) << fused.status().message();
    ASSERT_TRUE(apart.ok()) << apart.status().message();
    EXPECT_GT(fused_calls(fused->program), 0);
    EXPECT_EQ(fused_calls(apart->program), 0);
    EXPECT_LE(fused->program.arena_bytes, apart->program.arena_bytes);
    Session one = Session::create(fused->program).value();
    Session two = Session::create(apart->program).value();
    run_steps(one, c.optimizer);
    run_steps(two, c.optimizer);
    for (const Binding& v : fused->program.persistent)
      EXPECT_TRUE(
          std::ranges::equal(one.persistent(v.name), two.persistent(v.name)))
          << v.name;
  }
}

}  // namespace
}  // namespace ft
