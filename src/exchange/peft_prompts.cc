#include "exchange/peft_prompts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "exchange/config_keys.h"
#include "ir/real_values.h"
#include "methods/head.h"
#include "methods/method.h"

namespace ft {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kKey = "prompt_embeddings";
// These methods do not wrap the model, so PEFT leaves out one "model.".
constexpr std::string_view kTheirs = "base_model.", kOurs = "base_model.model.";

// What describes the model, kept in the adapter's metadata under these names.
constexpr std::array<const char*, 4> kModelKeys = {
    "task_type", "token_dim", "num_layers", "num_attention_heads"};

// How the tensor was started or trained. A projection is applied before saving.
constexpr std::array<std::string_view, 11> kNoInfluence = {
    "peft_type",
    "auto_mapping",
    "peft_version",
    "inference_mode",
    "base_model_name_or_path",
    "revision",
    "modules_to_save",
    "tokenizer_name_or_path",
    "tokenizer_kwargs",
    "encoder_hidden_size",
    "prefix_projection"};

bool is_initial(std::string_view key) {
  return key == "init_weights" || key.starts_with("prompt_tuning_init");
}

Status check_keys(const Json& config, const PeftType& type) {
  for (const auto& [key, value] : config.items()) {
    const bool one = key == "num_transformer_submodules" && value == Json(1);
    if (value.is_null() || one || key == "num_virtual_tokens" ||
        is_initial(key) || std::ranges::count(kNoInfluence, key) > 0 ||
        std::ranges::count(kModelKeys, key) > 0)
      continue;
    return cannot_honour(key, value, type.peft_type);
  }
  return ok_status();
}

Result<const AdapterEntry*> find_prompts(const Adapter& adapter) {
  const auto at = std::ranges::find(adapter.tensors, kKey, &AdapterEntry::name);
  if (at != adapter.tensors.end() && at->shape.rank() == 2) return &*at;
  return invalid_input(fmt::format("it has no matrix '{}'", kKey));
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

Status read_peft_prompts(const Json& config, const PeftType& type,
                         Adapter& adapter) {
  FT_TRY_STATUS(check_keys(config, type));
  FT_TRY(const AdapterEntry* prompts, find_prompts(adapter));
  FT_TRY(const MethodDef* method, find_method(type.method));
  MethodSettings settings;
  settings.method = method->name;
  const std::string rows = fmt::format("{}", prompts->shape[0]);
  const auto said = config.find("num_virtual_tokens");
  if (said != config.end() && said->dump() != rows)
    return invalid_input(
        fmt::format("num_virtual_tokens is {}, but '{}' has {} rows",
                    said->dump(), kKey, rows));
  FT_TRY_STATUS(set_setting(*method, "num_virtual_tokens", rows, settings));
  for (AdapterEntry& t : adapter.tensors) {
    if (t.name == kKey) continue;
    if (!t.name.starts_with(kTheirs))
      return invalid_input(
          fmt::format("no tensor '{}' is one of {}", t.name, type.peft_type));
    t.name = std::string(kOurs) + t.name.substr(kTheirs.size());
    if (t.name.ends_with(".weight") && t.shape.rank() == 2)
      settings.num_classes = static_cast<int>(t.shape[0]);
  }
  for (const auto& [key, text] : to_metadata(settings))
    adapter.metadata[key] = text;
  for (const char* key : kModelKeys)
    if (const auto at = config.find(key); at != config.end() && !at->is_null())
      adapter.metadata[key] = text_of(*at);
  return ok_status();
}

bool lacks_peft_head(const Adapter& adapter) {
  return adapter.get("task_type") == "SEQ_CLS" && adapter.tensors.size() == 1 &&
         adapter.tensors[0].name == kKey;
}

Status add_peft_head(const Graph& base, Adapter& adapter) {
  const NodeId n = find_head(base).head;
  if (n == kNone)
    return invalid_input("the base model does not end in a linear layer");
  const Node& head = base.node(n);
  const auto add = [&](const char* what, size_t input) {
    const Value& value = base.value(head.inputs[input]);
    adapter.tensors.push_back(
        {peft_key(head.name, what), value.type.shape, real_values(value)});
  };
  add("weight", 1);
  if (head.inputs.size() > 2 && head.inputs[2] != kNone) add("bias", 2);
  return ok_status();
}

Status write_peft_prompts(const PeftType& type, const MethodSettings& settings,
                          Adapter& adapter, Json& config) {
  FT_TRY(const AdapterEntry* prompts, find_prompts(adapter));
  config["num_virtual_tokens"] = prompts->shape[0];
  config["num_transformer_submodules"] = 1;
  for (const char* key : kModelKeys) {
    const std::string text = adapter.get(key);
    if (text.empty())
      return invalid_input(
          fmt::format("the adapter does not tell '{}', which PEFT needs for {}",
                      key, type.peft_type));
    const Json number = Json::parse(text, nullptr, false);
    config[key] = number.is_number() ? number : Json(text);
  }
  if (settings.method == "prompt") config["prompt_tuning_init"] = "RANDOM";
  Json saved = Json::array();
  for (AdapterEntry& t : adapter.tensors) {
    if (t.name == kKey) continue;
    if (!t.name.starts_with(kOurs))
      return invalid_input(
          fmt::format("tensor '{}' has no name of PEFT's", t.name));
    t.name = std::string(kTheirs) + t.name.substr(kOurs.size());
    if (t.name.ends_with(".weight") && t.name.size() > kTheirs.size() + 7)
      saved.push_back(
          t.name.substr(kTheirs.size(), t.name.size() - kTheirs.size() - 7));
  }
  config["modules_to_save"] = saved.empty() ? Json() : saved;
  return ok_status();
}

}  // namespace ft
