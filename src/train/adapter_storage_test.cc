// Storage in few bits for every method: what a step computes with is what the
// file holds.
#include "train/adapter_storage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "methods/tiny_model.h"
#include "train/answers.h"
#include "train/step.h"

namespace ft {
namespace {

AdapterStorage storage_of(const char* quantizer, bool learn = false) {
  return {.quantizer = parse_quantizer(quantizer).value(),
          .keep_f32 = {},
          .learn_steps = learn};
}

MethodSettings settings_of(const MethodDef& method) {
  MethodSettings s;
  s.method = method.name;
  s.r = method.default_rank;
  s.lora_alpha = 2.0 * s.r;
  s.num_classes = 5;  // rank 2 tensors for methods that have only vectors
  return s;
}

// Trains two steps on noise, so that no tensor is zero.
void train_a_little(Session& session, uint64_t seed) {
  const Random random(seed, "storage_test");
  const size_t hyper = session.program().inputs.size() - 1;
  for (uint64_t step = 0; step < 2; ++step) {
    for (size_t k = 0; float& v : session.input_as<float>(0))
      v = random.normal(step << 20 | k++);
    for (int32_t& label : session.input_as<int32_t>(1)) label = 3;
    std::ranges::copy(std::array{0.05f, 1.0f, 1.0f, 0.0f},
                      session.input_as<float>(hyper).begin());
    session.run();
  }
}

std::vector<float> answer_of(Session& session) {
  for (size_t k = 0; float& v : session.input_as<float>(0))
    v = 0.01f * static_cast<float>(k++ % 37) - 0.1f;
  session.run();
  return read_answer(session);
}

std::span<const float> trained(Session& session, const CompiledStep& step,
                               ValueId id) {
  if (id == kNone) return {};
  const auto bytes = session.persistent(step.program.graph.value(id).name);
  return {reinterpret_cast<const float*>(bytes.data()), bytes.size() / 4};
}

void check(const MethodDef& method, const AdapterStorage& storage) {
  const MethodSettings settings = settings_of(method);
  // Methods for models that read tokens or normalize.
  if (!compile_inference(tiny_model(1), settings, {}).ok()) return;
  auto step =
      compile_training(tiny_model(2), {.method = settings,
                                       .optimizer = {},
                                       .loss = Loss::kSoftmaxCrossEntropy,
                                       .plan = {},
                                       .storage = storage});
  ASSERT_TRUE(step.ok()) << step.status().message();
  Session session = Session::create(step->program).value();
  train_a_little(session, 3);
  const auto simulated = compile_inference(tiny_model(1), settings, {},
                                           Precision::kMixed, storage);
  Session eval = Session::create_sharing(simulated->program, session).value();
  const std::vector<float> expected = answer_of(eval);

  auto plain = compile_inference(tiny_model(1), settings, {});
  const auto chosen = quantized_tensors(step->adapted.tensors, storage);
  ASSERT_TRUE(chosen.ok()) << chosen.status().message();
  for (size_t i = 0; i < chosen->size(); ++i) {
    const AdapterTensor& t = step->adapted.tensors[i];
    AdapterEntry entry{.name = t.name,
                       .shape = t.file_shape(),
                       .values = to_file_layout(t, adapter_values(session, t))};
    const auto learned =
        std::ranges::find(step->learned, t.name, &LearnedSteps::tensor);
    const bool found = learned != step->learned.end();
    EXPECT_EQ(found, storage.learn_steps && (*chosen)[i]) << t.name;
    if ((*chosen)[i])
      quantize_entry(
          storage.quantizer,
          trained(session, *step, found ? learned->log_ratio : kNone),
          trained(session, *step, found ? learned->shift : kNone), entry);
    set_adapter_values(plain->program.graph, t,
                       from_file_layout(t, entry.values));
  }
  Session deployed = Session::create(plain->program).value();
  EXPECT_EQ(answer_of(deployed), expected);
}

TEST(AdapterStorage, EveryMethodComputesWithWhatTheFileHolds) {
  for (const MethodDef* method : all_methods())
    for (const auto& [text, learn] : {std::pair{"int8/channel", false},
                                      {"int4/block3", false},
                                      {"float16", false},
                                      {"int8/asymmetric/channel", true}}) {
      SCOPED_TRACE(std::string(method->name) + " " + text);
      check(*method, storage_of(text, learn));
    }
}

TEST(AdapterStorage, RefusesPatternsThatMatchNothingAndEmptyChoices) {
  const std::vector<AdapterTensor> tensors = {
      {.name = "base_model.model.fc.lora_A.weight",
       .view = {2, 4},
       .perm = {0, 1}},
      {.name = "base_model.model.fc.bias", .view = {4}, .perm = {0}}};
  AdapterStorage storage = storage_of("int8/channel");
  EXPECT_EQ(quantized_tensors(tensors, storage).value(),
            (std::vector<bool>{true, false}));
  storage.vectors = true;
  storage.keep_f32 = {"lora_A.weight"};
  EXPECT_EQ(quantized_tensors(tensors, storage).value(),
            (std::vector<bool>{false, true}));
  storage.keep_f32 = {"lora_B.weight"};
  const auto nothing = quantized_tensors(tensors, storage);
  ASSERT_FALSE(nothing.ok());
  EXPECT_EQ(nothing.status().code(), Code::kUsage);
  EXPECT_NE(nothing.status().message().find("lora_A"), std::string::npos);
  storage.keep_f32 = {"*"};
  EXPECT_FALSE(quantized_tensors(tensors, storage).ok());
}

}  // namespace
}  // namespace ft
