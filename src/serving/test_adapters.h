// For tests and benchmarks: adapters with random values, written as files, and
// the answers that an inference without any runtime gives with them.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "adapters/adapter_file.h"
#include "base/file.h"
#include "base/random.h"
#include "train/adapted_model.h"
#include "train/answers.h"
#include "train/samples.h"

namespace ft {

// Plans that are made quickly; same bits.
inline PlanOptions quick_plan() {
  return {.placement_rounds = 0, .reorder = false};
}

struct AdapterRecipe {
  MethodSettings method = {};
  Precision precision = Precision::kMixed;
  uint64_t seed = 0;  // of the values
  double size = 0.2;  // of the values: uniform up to here
  int seq_len = 0;
};

// An adapter of the base `path`: as training writes it, but with random values.
inline Result<Adapter> random_adapter(const std::string& path,
                                      const AdapterRecipe& recipe) {
  FT_TRY(const BaseModel base,
         load_base(path, recipe.precision, 1, recipe.seq_len));
  FT_TRY(const CompiledStep step,
         compile_inference(base.graph, recipe.method, quick_plan(),
                           recipe.precision));
  Adapter adapter;
  adapter.metadata = to_metadata(recipe.method);
  adapter.metadata["format_version"] = "1";
  adapter.metadata["base_sha256"] = base.sha256;
  adapter.metadata["precision"] = std::string(name_of(recipe.precision));
  if (recipe.seq_len > 0)
    adapter.metadata["seq_len"] = fmt::format("{}", recipe.seq_len);
  for (const AdapterTensor& t : step.adapted.tensors) {
    AdapterEntry entry{
        .name = t.name, .shape = t.file_shape(), .values = t.fixed};
    if (t.param != kNone) {
      const Random random(recipe.seed, t.name);
      const auto count = static_cast<size_t>(entry.shape.num_elements());
      for (size_t i = 0; i < count; ++i)
        entry.values.push_back(
            static_cast<float>(recipe.size * (2 * random.uniform(i) - 1)));
    }
    adapter.tensors.push_back(std::move(entry));
  }
  return adapter;
}

inline Status write_random_adapter(const std::string& base,
                                   const AdapterRecipe& recipe,
                                   const std::string& path) {
  FT_TRY(const Adapter adapter, random_adapter(base, recipe));
  FT_TRY(const auto bytes, encode_adapter(adapter));
  return write_file_atomically(path, bytes);
}

// The oracle: a session of its own for each answer.
inline Result<std::vector<float>> answer_alone(
    const std::string& base, std::span<const AdapterChoice> choices,
    std::span<const float> features, SideArithmetic sides = {}) {
  FT_TRY(const AdaptedModel model,
         load_adapted_model(base, choices, quick_plan(), 0, sides));
  FT_TRY(Session session, Session::create(model.step.program));
  write_features(session.input(0), session.program().inputs[0].type, 0,
                 features);
  session.run();
  return read_answer(session);
}

}  // namespace ft
