// The public runtime against sessions of their own (answer_alone).
#include "fieldtune/runtime.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "fieldtune/adapter_store.h"
#include "serving/runtime_fixture.h"
#include "tests/count_allocations.h"
#include "train/merge_adapted.h"

namespace ft {
namespace {

using fieldtune::Runtime;
using fieldtune::RuntimeStats;

// The same adapters in one program: of values other than those that the first
// one had when it was compiled.
TEST(Runtime, AnswersInIntegersAsASessionOfItsOwn) {
  fieldtune::Runtime runtime =
      fieldtune::Runtime::open(kBase, {.adapter_mode = "int8"}).value();
  const auto x = features_of(fieldtune::Model::open(kBase)->input(0).size());
  std::vector<std::vector<float>> expected(3), batch(3);
  std::vector<fieldtune::Request> requests;
  for (uint64_t i = 0; i < 3; ++i) {
    const std::string name = fmt::format("{}", i);
    ASSERT_TRUE(runtime.add(name, lora_file(i)).ok());
    auto oracle =
        answer_alone(kBase, {{{lora_file(i)}}}, x, SideArithmetic::kInt8);
    ASSERT_TRUE(oracle.ok()) << oracle.status().message();
    expected[i] = *oracle;
    std::vector<float> y;
    const Status status = runtime.run_with(name, x, y);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(y, expected[i]);
    requests.push_back({name, x, &batch[i]});
  }
  EXPECT_NE(expected[0], expected[1]);
  EXPECT_EQ(runtime.stats().shapes, 2u);  // the base's and theirs
  for (int turn = 0; turn < 2; ++turn) {
    ASSERT_TRUE(runtime.run_batch(requests).ok());
    EXPECT_EQ(batch, expected);
  }
  EXPECT_EQ(runtime.stats().batched, 4u);  // two of the three, twice
}

TEST(Runtime, RefusesWhatIntegersBesideTheBaseCannotBe) {
  EXPECT_EQ(
      fieldtune::Runtime::open(kBase, {.adapter_mode = "int4"}).status().code(),
      Code::kUsage);
  fieldtune::Runtime runtime =
      fieldtune::Runtime::open(kBase, {.adapter_mode = "int8"}).value();
  AdapterRecipe recipe;
  recipe.method.own["use_dora"] = "true";
  const std::string path = temporary("int8_dora.safetensors");
  ASSERT_TRUE(write_random_adapter(kBase, recipe, path).ok());
  ASSERT_TRUE(runtime.add("dora", path).ok());
  const Status status = runtime.set_active("dora");
  EXPECT_NE(status.message().find("use --adapter-mode side"), std::string::npos)
      << status.message();
  EXPECT_EQ(runtime.active(), "");
}

TEST(Runtime, AnswersAsASessionOfItsOwn) {
  Fixture f;
  for (uint64_t i = 0; i < 4; ++i)
    ASSERT_TRUE(f.runtime.add(fmt::format("a{}", i), lora_file(i)).ok());
  ASSERT_TRUE(f.runtime.add("wide", lora_file(9, 6)).ok());
  for (int round = 0; round < 2; ++round) {
    for (uint64_t i = 0; i < 4; ++i)
      EXPECT_EQ(f.answer(fmt::format("a{}", i)), f.oracle({{lora_file(i)}}));
    EXPECT_EQ(f.answer("wide"), f.oracle({{lora_file(9, 6)}}));
    EXPECT_EQ(f.answer(""), f.oracle({}));
  }
  EXPECT_NE(f.answer("a0"), f.answer("a1"));
  const RuntimeStats stats = f.runtime.stats();
  EXPECT_EQ(stats.shapes, 3u);  // the base alone, rank 4, rank 6
  EXPECT_EQ(stats.misses, 5u);
  EXPECT_EQ(stats.cached, 5u);
}

TEST(Runtime, EveryMethodAndPrecisionAnswersAsASession) {
  Fixture f;
  for (const MethodDef* method : all_methods())
    for (const Precision p :
         {Precision::kMixed, Precision::kF32, Precision::kInteger}) {
      AdapterRecipe recipe{.precision = p, .seed = 3};
      recipe.method.method = std::string(method->name);
      const std::string name = fmt::format("{}_{}", method->name, name_of(p));
      const std::string path = temporary(name + ".safetensors");
      if (!write_random_adapter(kBase, recipe, path).ok()) continue;
      const auto expected = answer_alone(kBase, {{{path}}}, f.x);
      ASSERT_TRUE(f.runtime.add(name, path).ok());
      std::vector<float> y;
      const Status status = f.runtime.run_with(name, f.x, y);
      ASSERT_EQ(status.ok(), expected.ok()) << name << status.message();
      if (expected.ok()) {
        EXPECT_EQ(y, *expected) << name;
      }
    }
  EXPECT_GT(f.runtime.stats().cached, 10u);
}

TEST(Runtime, TheActiveAdapterChangesBetweenRuns) {
  Fixture f;
  ASSERT_TRUE(f.runtime.add("a", lora_file(0)).ok());
  ASSERT_TRUE(f.runtime.add("b", lora_file(1)).ok());
  std::vector<float> y;
  ASSERT_TRUE(f.runtime.run(f.x, y).ok());
  EXPECT_EQ(y, f.oracle({}));
  for (const char* name : {"a", "b", "a"}) {
    ASSERT_TRUE(f.runtime.set_active(name).ok());
    EXPECT_EQ(f.runtime.active(), name);
    ASSERT_TRUE(f.runtime.run(f.x, y).ok());
    EXPECT_EQ(y, f.answer(name));
  }
  ASSERT_TRUE(f.runtime.set_active("").ok());
  ASSERT_TRUE(f.runtime.run(f.x, y).ok());
  EXPECT_EQ(y, f.oracle({}));
}

TEST(Runtime, ANewFileUnderAnOldNameIsServedFromTheNextRequest) {
  Fixture f;
  ASSERT_TRUE(f.runtime.add("a", lora_file(0)).ok());
  ASSERT_TRUE(f.runtime.set_active("a").ok());
  ASSERT_TRUE(f.runtime.add("a", lora_file(1)).ok());
  std::vector<float> y;
  ASSERT_TRUE(f.runtime.run(f.x, y).ok());
  EXPECT_EQ(y, f.oracle({{lora_file(0)}}));  // until it is made active
  EXPECT_EQ(f.answer("a"), f.oracle({{lora_file(1)}}));
  ASSERT_TRUE(f.runtime.remove("a").ok());
  ASSERT_TRUE(f.runtime.run(f.x, y).ok());
  EXPECT_EQ(y, f.oracle({{lora_file(0)}}));
  EXPECT_EQ(f.runtime.run_with("a", f.x, y).code(), Code::kUsage);
}

TEST(Runtime, ComposesWithWeights) {
  Fixture f;
  ASSERT_TRUE(f.runtime.add("a", lora_file(0)).ok());
  ASSERT_TRUE(f.runtime.add("b", lora_file(1, 6)).ok());
  ASSERT_TRUE(f.runtime.compose("both", {{"a", 0.3}, {"b", 0.7}}).ok());
  ASSERT_TRUE(f.runtime.compose("one", {{"a", 0}, {"b", 1}}).ok());
  const auto a = lora_file(0), b = lora_file(1, 6);
  EXPECT_EQ(f.answer("both"), f.oracle({{a, 0.3}, {b, 0.7}}));
  EXPECT_EQ(f.answer("one"), f.oracle({{b}}));
  EXPECT_EQ(f.runtime.compose("c", {{"a", 0}}).code(), Code::kUsage);
  EXPECT_EQ(f.runtime.compose("c", {{"no such", 1}}).code(), Code::kUsage);
  EXPECT_EQ(f.runtime.compose("", {{"a", 1}}).code(), Code::kUsage);
}

TEST(Runtime, MergedEqualsTheMergedFile) {
  Fixture f;
  const std::string file = lora_file(0);
  ASSERT_TRUE(f.runtime.add("a", file).ok());
  ASSERT_TRUE(f.runtime.merge("merged", "a").ok());
  const auto model =
      load_adapted_model(kBase, std::vector<AdapterChoice>{{file}}, {}).value();
  const auto bytes =
      merged_tflite_file(kBase, merge_input(model.adapters).value()).value();
  const std::string path = temporary("merged.tflite");
  ASSERT_TRUE(write_file_atomically(path, bytes).ok());
  EXPECT_EQ(f.answer("merged"), answer_alone(path, {}, f.x).value());
  EXPECT_GT(f.runtime.stats().adapter_bytes, bytes.size());
  EXPECT_EQ(f.runtime.merge("a", "a").code(), Code::kUsage);
  EXPECT_EQ(f.runtime.merge("m", "no such").code(), Code::kUsage);
}

TEST(Runtime, WhatIsMadeOfAReplacedPartFollowsIt) {
  Fixture f;
  ASSERT_TRUE(f.runtime.add("a", lora_file(0)).ok());
  ASSERT_TRUE(f.runtime.add("b", lora_file(1, 6)).ok());
  ASSERT_TRUE(f.runtime.compose("both", {{"a", 0.3}, {"b", 0.7}}).ok());
  ASSERT_TRUE(f.runtime.merge("merged", "a").ok());
  const auto merged = f.answer("merged");
  ASSERT_EQ(f.answer("both"),
            f.oracle({{lora_file(0), 0.3}, {lora_file(1, 6), 0.7}}));
  ASSERT_TRUE(f.runtime.add("a", lora_file(2)).ok());
  EXPECT_EQ(f.answer("both"),
            f.oracle({{lora_file(2), 0.3}, {lora_file(1, 6), 0.7}}));
  EXPECT_NE(f.answer("merged"), merged);
  ASSERT_TRUE(f.runtime.remove("a").ok());
  std::vector<float> y;
  EXPECT_EQ(f.runtime.run_with("both", f.x, y).code(), Code::kUsage);
}

// The file under its name is another one by now; what runs is the old one.
TEST(Runtime, MergesNothingIntoAnotherBase) {
  const std::string base = temporary("own_base.tflite");
  std::filesystem::remove(base);
  std::filesystem::copy_file(kBase, base);
  auto runtime = Runtime::open(base).value();
  ASSERT_TRUE(runtime.add("a", lora_file(0)).ok());
  ASSERT_TRUE(runtime.merge("merged", "a").ok());
  const auto x = features_of(fieldtune::Model::open(kBase)->input(0).size());
  std::vector<float> y;
  ASSERT_TRUE(runtime.run_with("a", x, y).ok());
  const std::string other = read_text_file(kBase).value() + "other";
  ASSERT_TRUE(write_file_atomically(base, other).ok());
  const Status status = runtime.run_with("merged", x, y);
  EXPECT_EQ(status.code(), Code::kInvalidInput);
  EXPECT_NE(status.message().find("has changed"), std::string::npos)
      << status.message();
  ASSERT_TRUE(runtime.run_with("a", x, y).ok());
}

// Written in place, as cp does, not replaced: a mapping of it would end the
// process.
TEST(Runtime, AFileThatIsCutWhileItIsLoadedEndsNobody) {
  Fixture f;
  const std::string path = temporary("cut.safetensors");
  const std::string whole = read_text_file(lora_file(0)).value();
  ASSERT_TRUE(f.runtime.add("cut", path).ok());
  const auto expected = f.oracle({{lora_file(0)}});
  std::atomic<bool> done{false};
  std::thread writer([&] {
    while (!done) {
      std::ofstream(path, std::ios::binary) << whole;
      std::filesystem::resize_file(path, 0);
    }
  });
  std::vector<float> y;
  for (int i = 0; i < 500; ++i) {
    const bool is_whole = f.runtime.run_with("cut", f.x, y).ok();
    EXPECT_TRUE(!is_whole || y == expected);
    ASSERT_TRUE(f.runtime.unload("cut").ok());
  }
  done = true;
  writer.join();
  EXPECT_EQ(f.runtime.stats().adapter_bytes, 0u);
}

TEST(Runtime, EvictsUnderTheBudgetAndLoadsAgain) {
  const size_t file = std::filesystem::file_size(lora_file(0));
  const size_t budget = 4 * file;
  Fixture f(budget);
  for (uint64_t i = 0; i < 8; ++i)
    ASSERT_TRUE(f.runtime.add(fmt::format("a{}", i), lora_file(i)).ok());
  for (int round = 0; round < 2; ++round)
    for (uint64_t i = 0; i < 8; ++i) {
      EXPECT_EQ(f.answer(fmt::format("a{}", i)), f.oracle({{lora_file(i)}}));
      EXPECT_LE(f.runtime.stats().adapter_bytes, budget);
      EXPECT_EQ(f.runtime.stats().adapter_bytes,
                f.runtime.stats().cached_bytes);
    }
  EXPECT_GT(f.runtime.stats().evictions, 0u);
}

TEST(Runtime, RefusesWithAReasonAndKeepsTheOldState) {
  Fixture f;
  ASSERT_TRUE(f.runtime.add("good", lora_file(0)).ok());
  ASSERT_TRUE(f.runtime.set_active("good").ok());
  const auto expected = f.answer("good");
  const auto refuse = [&](const std::string& name, Code code,
                          const std::string& words) {
    const Status status = f.runtime.set_active(name);
    EXPECT_EQ(status.code(), code) << name << ": " << status.message();
    EXPECT_NE(status.message().find(words), std::string::npos)
        << status.message();
    EXPECT_EQ(f.runtime.active(), "good");
    std::vector<float> y;
    ASSERT_TRUE(f.runtime.run(f.x, y).ok());
    EXPECT_EQ(y, expected);
  };
  refuse("unknown", Code::kUsage, "no adapter 'unknown'");

  Adapter adapter = random_adapter(kBase, {}).value();
  const auto add = [&](const std::string& name, const Adapter& changed) {
    const std::string path = temporary(name + ".safetensors");
    ASSERT_TRUE(
        write_file_atomically(path, encode_adapter(changed).value()).ok());
    ASSERT_TRUE(f.runtime.add(name, path).ok());
  };
  Adapter other = adapter;
  other.metadata["base_sha256"] = std::string(64, '0');
  add("other base", other);
  refuse("other base", Code::kInvalidInput, "another base model");

  other = adapter;
  other.metadata["precision"] = "int3";
  add("wrong arithmetic", other);
  refuse("wrong arithmetic", Code::kUsage, "no precision 'int3'");

  other = adapter;
  other.tensors.pop_back();
  add("a tensor less", other);
  refuse("a tensor less", Code::kInvalidInput, "lacks tensor");

  auto bytes = encode_adapter(adapter).value();
  bytes.resize(bytes.size() / 2);
  const std::string path = temporary("half.safetensors");
  ASSERT_TRUE(write_file_atomically(path, bytes).ok());
  ASSERT_TRUE(f.runtime.add("half", path).ok());
  refuse("half", Code::kInvalidInput, "half.safetensors");

  ASSERT_TRUE(f.runtime.add("gone", temporary("gone.safetensors")).ok());
  refuse("gone", Code::kIo, "gone.safetensors");
  EXPECT_EQ(f.runtime.stats().failed_loads, 6u);
  EXPECT_EQ(f.runtime.stats().cached, 1u);

  std::vector<float> y;
  EXPECT_EQ(f.runtime.run(std::span(f.x).first(3), y).code(), Code::kUsage);
}

// Integers whose steps another quantizer made.
TEST(Runtime, RefusesAWrongQuantizer) {
  Fixture f;
  Adapter adapter = random_adapter(kBase, {}).value();
  auto bytes = encode_adapter(adapter).value();
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::string from = "\"precision\":\"mixed\"",
                    to = "\"quantizer\":\"int5x\"";
  ASSERT_EQ(from.size(), to.size());
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, from.size(), to);
  const std::string path = temporary("quantizer.safetensors");
  ASSERT_TRUE(write_file_atomically(path, text).ok());
  ASSERT_TRUE(f.runtime.add("quantizer", path).ok());
  const Status status = f.runtime.set_active("quantizer");
  EXPECT_EQ(status.code(), Code::kInvalidInput);
  EXPECT_NE(status.message().find("int5x"), std::string::npos)
      << status.message();
  EXPECT_EQ(f.runtime.active(), "");
}

TEST(Runtime, ABudgetBelowOneAdapterIsRefused) {
  Fixture f(1000);
  ASSERT_TRUE(f.runtime.add("a", lora_file(0)).ok());
  const Status status = f.runtime.set_active("a");
  EXPECT_EQ(status.code(), Code::kDoesNotFit);
  EXPECT_NE(status.message().find("budget of 1000 bytes"), std::string::npos)
      << status.message();
  std::vector<float> y;
  ASSERT_TRUE(f.runtime.run(f.x, y).ok());
  EXPECT_EQ(y, f.oracle({}));
  EXPECT_EQ(f.runtime.stats().adapter_bytes, 0u);
}

TEST(Runtime, PrefetchLoadsInTheBackground) {
  Fixture f;
  ASSERT_TRUE(f.runtime.add("a", lora_file(0)).ok());
  ASSERT_TRUE(f.runtime.add("gone", temporary("gone.safetensors")).ok());
  ASSERT_TRUE(f.runtime.prefetch("a").ok());
  ASSERT_TRUE(f.runtime.prefetch("gone").ok());
  EXPECT_EQ(f.runtime.prefetch("unknown").code(), Code::kUsage);
  f.runtime.wait_for_prefetches();
  EXPECT_EQ(f.runtime.stats().failed_prefetches, 1u);
  ASSERT_TRUE(f.runtime.set_active("a").ok());
  EXPECT_EQ(f.runtime.stats().hits, 1u);
  EXPECT_EQ(f.runtime.stats().misses, 0u);
}

#ifndef FT_SANITIZED
size_t heap_bytes() {
  const auto info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

size_t told_bytes(const RuntimeStats& s) {
  return s.adapter_bytes + s.derived_bytes + s.session_bytes;
}

// The first adapter of a shape and all after it, against the heap itself.
TEST(Runtime, TellsWhatANewShapeTakes) {
  for (const char* mode : {"side", "int8"})
    for (const Precision precision : {Precision::kMixed, Precision::kF32}) {
      if (precision == Precision::kF32 && mode == std::string("int8")) continue;
      SCOPED_TRACE(fmt::format("{} {}", mode, name_of(precision)));
      std::vector<std::string> files;
      for (const int r : {2, 3, 5}) {
        files.push_back(temporary(fmt::format("told_{}.safetensors", r)));
        AdapterRecipe recipe{.precision = precision};
        recipe.method.r = r;
        ASSERT_TRUE(write_random_adapter(kBase, recipe, files.back()).ok());
      }
      auto runtime = Runtime::open(kBase, {.adapter_mode = mode}).value();
      const auto x =
          features_of(fieldtune::Model::open(kBase)->input(0).size());
      std::vector<float> y;
      ASSERT_TRUE(runtime.run(x, y).ok());
      for (size_t i = 0; i < files.size(); ++i) {
        const std::string name = fmt::format("{}", i);
        ASSERT_TRUE(runtime.add(name, files[i]).ok());
        const size_t heap = heap_bytes(), told = told_bytes(runtime.stats());
        ASSERT_TRUE(runtime.run_with(name, x, y).ok());
        const auto grown = static_cast<double>(heap_bytes() - heap);
        const auto tells =
            static_cast<double>(told_bytes(runtime.stats()) - told);
        EXPECT_NEAR(tells, grown, 0.1 * grown) << name;
      }
    }
}
#endif

TEST(Runtime, TakesAFolder) {
  const std::string folder = temporary("folder");
  std::filesystem::create_directories(folder);
  for (const char* name : {"x", "y"})
    std::filesystem::copy_file(
        lora_file(0), folder + "/" + name + ".safetensors",
        std::filesystem::copy_options::overwrite_existing);
  std::ofstream(folder + "/readme.txt") << "no adapter\n";
  Fixture f;
  EXPECT_EQ(f.runtime.add_folder(folder).value(), 2u);
  EXPECT_EQ(f.runtime.names(), (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(f.answer("x"), f.oracle({{lora_file(0)}}));
  EXPECT_EQ(f.runtime.add_folder(folder + "/none").status().code(), Code::kIo);
}

TEST(Runtime, WhatAnOwnerOpensHasNoOtherVersions) {
  Fixture f;
  ASSERT_TRUE(f.runtime
                  .add("me",
                       [](const auto&) -> Result<fieldtune::OpenedAdapter> {
                         return io_error("not to be opened");
                       })
                  .ok());
  std::vector<float> y;
  EXPECT_EQ(f.runtime.run_with("me@3", f.x, y).code(), Code::kUsage);
  EXPECT_EQ(f.runtime.add("you", fieldtune::AdapterOpener()).code(),
            Code::kUsage);
}

TEST(Runtime, RunsAndWarmSwapsDoNotAllocate) {
  Fixture f;
  ASSERT_TRUE(f.runtime.add("a", lora_file(0)).ok());
  ASSERT_TRUE(f.runtime.add("b", lora_file(1)).ok());
  std::vector<float> y;
  for (const char* name : {"a", "b"}) {
    ASSERT_TRUE(f.runtime.set_active(name).ok());
    ASSERT_TRUE(f.runtime.run(f.x, y).ok());
  }
  const size_t before = allocation_count();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(f.runtime.run(f.x, y).ok());
  EXPECT_EQ(allocation_count(), before);
}

}  // namespace
}  // namespace ft
