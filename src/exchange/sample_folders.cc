#include "exchange/sample_folders.h"

#include "exchange/adapterhub.h"
#include "exchange/peft.h"
#include "methods/method.h"

namespace ft {
namespace {

using Tensors = std::vector<std::pair<std::string, Shape>>;

SampleFolder folder(const std::string& config, const Tensors& tensors) {
  Adapter adapter;
  adapter.metadata["format"] = "pt";
  for (const auto& [name, shape] : tensors)
    adapter.tensors.push_back(
        {name, shape,
         std::vector<float>(static_cast<size_t>(shape.num_elements()), 0.5f)});
  auto bytes = encode_adapter(adapter);
  FT_CHECK(bytes.ok());
  return {config, std::move(*bytes)};
}

constexpr const char* kLora = R"({"peft_type": "LORA", "r": 2,
  "lora_alpha": 4, "bias": "all", "use_rslora": true, "use_dora": true,
  "init_lora_weights": "gaussian", "modules_to_save": ["head"],
  "rank_pattern": {"b.fc": 2}, "alpha_pattern": {"a|fc": 3, ".*\\.x": 1},
  "target_modules": ["fc"], "lora_dropout": 0.1})";
constexpr const char* kAdalora = R"({"peft_type": "ADALORA", "init_r": 3,
  "lora_alpha": 4, "target_r": 2, "tinit": 1, "total_step": 9, "beta1": 0.5,
  "rank_pattern": {"fc.lora_E": [true, false, true]}})";
constexpr const char* kIa3 = R"({"peft_type": "IA3",
  "feedforward_modules": ["down"], "target_modules": ["fc", "down"]})";
constexpr const char* kVera = R"({"peft_type": "VERA", "r": 2,
  "projection_prng_key": 3, "save_projection": true, "d_initial": 0.1})";
constexpr const char* kNorm = R"({"peft_type": "LN_TUNING"})";
constexpr const char* kPrompt = R"({"peft_type": "PROMPT_TUNING",
  "task_type": "SEQ_CLS", "num_virtual_tokens": 4, "token_dim": 6,
  "num_transformer_submodules": 1, "num_layers": 2, "num_attention_heads": 3,
  "prompt_tuning_init": "RANDOM"})";
constexpr const char* kPrefix = R"({"peft_type": "PREFIX_TUNING",
  "num_virtual_tokens": 4, "token_dim": 6, "num_layers": 1,
  "num_attention_heads": 3, "prefix_projection": false})";

SampleFolder bottleneck() {
  MethodSettings settings;
  settings.method = "bottleneck";
  settings.own = {{"variant", "houlsby"}, {"reduction_factor", "4"}};
  Adapter adapter{.metadata = to_metadata(settings), .tensors = {}};
  adapter.metadata["num_layers"] = "1";
  for (const char* place : {"attention.output.dense", "output.dense"})
    for (const auto& [what, shape] : Tensors{{"down.0.weight", {2, 8}},
                                             {"down.0.bias", {2}},
                                             {"up.weight", {8, 2}},
                                             {"up.bias", {8}}})
      adapter.tensors.push_back(
          {"base_model.model.bert.encoder.layer.0." + std::string(place) +
               ".adapter_" + what,
           shape,
           std::vector<float>(static_cast<size_t>(shape.num_elements()))});
  auto files = to_adapterhub(adapter, "mine", "base");
  FT_CHECK(files.ok());
  return {files->config, std::move(files->tensors)};
}

}  // namespace

std::vector<SampleFolder> sample_folders() {
  const std::string fc = "base_model.model.b.fc",
                    head = "base_model.model.head";
  return {folder(kLora, {{fc + ".lora_A.weight", {2, 4}},
                         {fc + ".lora_B.weight", {3, 2}},
                         {fc + ".lora_magnitude_vector", {3}},
                         {fc + ".base_layer.bias", {3}},
                         {head + ".weight", {5, 4}},
                         {head + ".bias", {5}},
                         {head + ".original_module.bias", {5}}}),
          folder(kAdalora, {{"base_model.model.fc.lora_A", {2, 4}},
                            {"base_model.model.fc.lora_B", {3, 2}},
                            {"base_model.model.fc.lora_E", {2, 1}}}),
          folder(kIa3, {{fc + ".ia3_l", {3, 1}},
                        {"base_model.model.down.ia3_l", {1, 4}}}),
          folder(kVera, {{"base_model.vera_A", {2, 4}},
                         {"base_model.vera_B", {3, 2}},
                         {fc + ".vera_lambda_b", {3}},
                         {fc + ".vera_lambda_d", {2}}}),
          folder(kNorm, {{fc + ".ln_tuning_layers.weight", {4}},
                         {fc + ".ln_tuning_layers.bias", {4}}}),
          folder(kPrompt, {{"prompt_embeddings", {4, 6}},
                           {"base_model.classifier.weight", {3, 6}},
                           {"base_model.classifier.bias", {3}}}),
          folder(kPrefix, {{"prompt_embeddings", {4, 12}}}),
          bottleneck()};
}

bool read_and_write(const std::string& config,
                    std::span<const std::byte> tensors) {
  const bool hub = is_adapterhub(config);
  const auto read = hub ? from_adapterhub(config, tensors, {}, "it")
                        : from_peft(config, tensors, "it");
  if (!read.ok()) {
    FT_CHECK(!read.status().message().empty());
    return false;
  }
  // What was read is an adapter of ours, whoever can write it again.
  FT_CHECK(settings_from_metadata(read->metadata).ok());
  FT_CHECK(encode_adapter(*read).ok());
  (void)to_peft(*read, "base");
  (void)to_adapterhub(*read, "mine", "base");
  return true;
}

}  // namespace ft
