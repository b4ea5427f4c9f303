// For tests of the public runtime: random adapters of the demo's base, and what
// sessions of their own answer with them.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "fieldtune/runtime.h"
#include "serving/test_adapters.h"

namespace ft {

inline const std::string kBase =
    FT_SOURCE_DIR "/examples/demo/keyword_base.tflite";

inline std::string temporary(const std::string& name) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "ft_runtime";
  std::filesystem::create_directories(folder);
  return (folder / name).string();
}

// The file of a random LoRA adapter, made by the first test that asks for it.
inline std::string lora_file(uint64_t seed, int r = 4) {
  static std::set<std::string> made;
  const std::string path =
      temporary(fmt::format("lora_{}_{}.safetensors", r, seed));
  if (!made.insert(path).second) return path;
  AdapterRecipe recipe{.seed = seed};
  recipe.method.r = r;
  const Status status = write_random_adapter(kBase, recipe, path);
  EXPECT_TRUE(status.ok()) << status.message();
  return path;
}

inline std::vector<float> features_of(size_t size, uint64_t seed = 1) {
  const Random random(seed, "features");
  std::vector<float> x(size);
  for (size_t i = 0; i < size; ++i) x[i] = 10 * random.normal(i);
  return x;
}

struct Fixture {
  explicit Fixture(size_t budget = 1 << 20)
      : runtime(
            fieldtune::Runtime::open(kBase, {.adapter_budget_bytes = budget})
                .value()) {
    x = features_of(
        fieldtune::Model::open(kBase)->input(0).size());  // one byte a value
  }
  std::vector<float> answer(const std::string& name) {
    std::vector<float> y;
    const Status status = runtime.run_with(name, x, y);
    EXPECT_TRUE(status.ok()) << status.message();
    return y;
  }
  std::vector<float> oracle(const std::vector<AdapterChoice>& choices) {
    std::string key;
    for (const auto& c : choices)
      key += fmt::format("{} {}\n", c.path, c.weight);
    auto& known = oracles[key];
    if (!known.empty()) return known;
    auto y = answer_alone(kBase, choices, x);
    EXPECT_TRUE(y.ok()) << y.status().message();
    return known = *y;
  }
  fieldtune::Runtime runtime;
  std::vector<float> x;
  std::map<std::string, std::vector<float>> oracles;
};

}  // namespace ft
