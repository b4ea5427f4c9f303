// Several requests in one run against each of them alone.
#include <gtest/gtest.h>

#include <filesystem>

#include "fieldtune/runtime.h"
#include "serving/test_adapters.h"
#include "tests/real_inputs.h"

namespace ft {
namespace {

using fieldtune::Request;
using fieldtune::Runtime;

const std::string kDemo = FT_SOURCE_DIR "/examples/demo/keyword_base.tflite";

// A runtime with adapters "0", "1", ... and a request for each.
struct Requests {
  Requests(const std::string& model, const std::vector<AdapterRecipe>& recipes,
           bool exact = false)
      : runtime(Runtime::open(model, {.exact = exact}).value()) {
    const auto base = fieldtune::Model::open(model).value();
    size_t size = 1;
    for (const int64_t d : base.inputs()[0].shape)
      size *= static_cast<size_t>(d);
    features.resize(recipes.size());
    answers.resize(recipes.size());
    for (size_t i = 0; i < recipes.size(); ++i) {
      const std::string name = fmt::format("{}", i);
      const std::string path = (std::filesystem::path(testing::TempDir()) /
                                fmt::format("ft_batch_{}.safetensors", i))
                                   .string();
      const Status written = write_random_adapter(model, recipes[i], path);
      EXPECT_TRUE(written.ok()) << written.message();
      EXPECT_TRUE(runtime.add(name, path).ok());
      const Random random(i, "features");
      for (size_t k = 0; k < size; ++k)
        features[i].push_back(20 * random.normal(k));
      requests.push_back({name, features[i], &answers[i]});
    }
  }

  void expect_equal_to_alone(size_t batched) {
    for (int round = 0; round < 2; ++round) {  // proven, then trusted
      const Status status = runtime.run_batch(requests);
      ASSERT_TRUE(status.ok()) << status.message();
      for (const Request& r : requests) {
        std::vector<float> alone;
        ASSERT_TRUE(runtime.run_with(r.adapter, r.features, alone).ok());
        EXPECT_EQ(*r.answer, alone) << "adapter " << r.adapter;
      }
    }
    EXPECT_EQ(runtime.stats().batched, 2 * batched);
    EXPECT_EQ(runtime.stats().batch_requests, 2 * requests.size());
  }

  Runtime runtime;
  std::vector<std::vector<float>> features, answers;
  std::vector<Request> requests;
};

std::vector<AdapterRecipe> recipes(size_t count, int r = 4,
                                   Precision precision = Precision::kMixed) {
  std::vector<AdapterRecipe> all(count);
  for (size_t i = 0; i < count; ++i) {
    all[i].seed = i;
    all[i].precision = precision;
    all[i].method.r = r;
  }
  return all;
}

TEST(Batch, EightAdaptersOfOneShapeShareARun) {
  Requests r(kDemo, recipes(8));
  r.expect_equal_to_alone(8);
  EXPECT_NE(r.answers[0], r.answers[1]);
}

TEST(Batch, MixesShapesTheBaseAndAnyCount) {
  auto mixed = recipes(7);
  for (const AdapterRecipe& wide : recipes(3, 6)) mixed.push_back(wide);
  Requests r(kDemo, mixed);
  r.requests.push_back({"", r.features[0], &r.answers.emplace_back()});
  // answers may have moved
  for (size_t i = 0; i < r.answers.size(); ++i)
    r.requests[i].answer = &r.answers[i];
  r.expect_equal_to_alone(4 + 2 + 2);  // of 7: 4, 2, 1; of 3: 2, 1; the base
}

TEST(Batch, EveryMethodAnswersAsAlone) {
  size_t batched = 0;
  for (const MethodDef* method : all_methods()) {
    std::vector<AdapterRecipe> all = recipes(4);
    for (AdapterRecipe& recipe : all)
      recipe.method.method = std::string(method->name);
    if (!random_adapter(kDemo, all[0]).ok()) continue;
    SCOPED_TRACE(method->name);
    Requests r(kDemo, all, true);
    ASSERT_TRUE(r.runtime.run_batch(r.requests).ok());
    for (size_t i = 0; i < 4; ++i) {
      std::vector<float> alone;
      ASSERT_TRUE(
          r.runtime.run_with(fmt::format("{}", i), r.features[i], alone).ok());
      EXPECT_EQ(r.answers[i], alone);
    }
    batched += r.runtime.stats().batched;
  }
  EXPECT_GE(batched, 16u);
}

// Integer precision has an exponent for all samples of a tensor.
TEST(Batch, WhatDoesNotBatchIsAnsweredOneByOne) {
  Requests r(kDemo, recipes(2, 4, Precision::kInteger));
  r.expect_equal_to_alone(0);
}

TEST(Batch, RealModelsAnswerAsAlone) {
  for (const char* name :
       {"kws_ref_model", "pretrainedResnet_quant", "ad01_int8"}) {
    const std::string model =
        shared_path(fmt::format("models/mlperf_tiny/{}.tflite", name));
    FT_SKIP_WITHOUT(model);
    SCOPED_TRACE(name);
    Requests r(model, recipes(8));
    r.expect_equal_to_alone(8);
  }
}

TEST(Batch, RefusesBeforeItAnswers) {
  Requests r(kDemo, recipes(2));
  r.answers[0] = {42};
  r.requests[1].adapter = "unknown";
  EXPECT_EQ(r.runtime.run_batch(r.requests).code(), Code::kUsage);
  r.requests[1].adapter = "1";
  r.requests[1].features = r.requests[1].features.first(3);
  EXPECT_EQ(r.runtime.run_batch(r.requests).code(), Code::kUsage);
  r.requests[1].answer = nullptr;
  EXPECT_EQ(r.runtime.run_batch(r.requests).code(), Code::kUsage);
  EXPECT_EQ(r.answers[0], std::vector<float>{42});
  EXPECT_EQ(r.runtime.stats().batch_requests, 0u);
}

}  // namespace
}  // namespace ft
