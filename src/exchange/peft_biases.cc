#include "exchange/peft_biases.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "methods/method.h"

namespace ft {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kWrapped = ".base_layer.bias", kBias = ".bias",
                           kWeight = ".weight";

bool is_update(const AdapterEntry& t) {
  return t.name.find(".lora_") != std::string::npos;
}

std::string module_before(const AdapterEntry& t, std::string_view suffix) {
  return t.name.substr(kPrefix.size(),
                       t.name.size() - kPrefix.size() - suffix.size());
}

// Layers that are saved whole: a trained head.
std::set<std::string> whole_modules(const Adapter& adapter) {
  std::set<std::string> modules;
  for (const AdapterEntry& t : adapter.tensors)
    if (!is_update(t) && t.name.ends_with(kWeight))
      modules.insert(module_before(t, kWeight));
  return modules;
}

// "base_model.model.<module>.<what>" everywhere, so that names can be cut.
Status check_names(const Adapter& adapter) {
  for (const AdapterEntry& t : adapter.tensors)
    if (!t.name.starts_with(kPrefix) ||
        t.name.find('.', kPrefix.size() + 1) == std::string::npos ||
        (t.name.ends_with(kWrapped) &&
         t.name.size() <= kPrefix.size() + kWrapped.size()))
      return invalid_input(
          fmt::format("tensor '{}' has no name of PEFT's", t.name));
  return ok_status();
}

// What PEFT writes twice where a whole layer is saved and "all" biases are.
bool is_copy(const AdapterEntry& t) {
  return t.name.ends_with(".modules_to_save.bias") ||
         t.name.ends_with(".original_module.bias");
}

}  // namespace

bool trains_biases(const Json& config) {
  const auto bias = config.find("bias");
  return bias != config.end() &&
         (*bias == Json("all") || *bias == Json("lora_only"));
}

bool has_biases_only(const Adapter& adapter) {
  return std::ranges::none_of(adapter.tensors, is_update);
}

bool is_lone_bias(const Adapter& adapter, const AdapterEntry& tensor) {
  if (!tensor.name.ends_with(kBias) || is_update(tensor)) return false;
  const std::string weight =
      tensor.name.substr(0, tensor.name.size() - kBias.size()) +
      std::string(kWeight);
  return std::ranges::none_of(
      adapter.tensors, [&](const AdapterEntry& t) { return t.name == weight; });
}

Status rename_from_peft(Adapter& adapter) {
  FT_TRY_STATUS(check_names(adapter));
  std::erase_if(adapter.tensors, is_copy);
  for (AdapterEntry& t : adapter.tensors)
    if (t.name.ends_with(kWrapped))
      t.name = peft_key(module_before(t, kWrapped), "bias");
  return ok_status();
}

Status rename_to_peft(Adapter& adapter) {
  FT_TRY_STATUS(check_names(adapter));
  std::set<std::string> wrapped;
  for (const AdapterEntry& t : adapter.tensors)
    if (is_update(t)) wrapped.insert(t.name.substr(0, t.name.find(".lora_")));
  for (AdapterEntry& t : adapter.tensors) {
    if (!is_lone_bias(adapter, t)) continue;
    const std::string module = t.name.substr(0, t.name.size() - kBias.size());
    if (wrapped.contains(module)) t.name = module + std::string(kWrapped);
  }
  return ok_status();
}

Status read_peft_biases(Adapter& adapter) {
  FT_TRY_STATUS(check_names(adapter));
  std::erase_if(adapter.tensors, is_copy);
  MethodSettings settings;
  settings.method = "bitfit";
  const std::set<std::string> whole = whole_modules(adapter);
  for (AdapterEntry& t : adapter.tensors) {
    if (t.name.ends_with(kWrapped)) {
      const std::string module = module_before(t, kWrapped);
      adapter.metadata[std::string(kPeftTarget)] = module;
      t.name = peft_key(module, "bias");
    }
    if (t.name.ends_with(kWeight) && t.shape.rank() == 2)
      settings.num_classes = static_cast<int>(t.shape[0]);
    if (!t.name.ends_with(kBias)) continue;
    const std::string module = module_before(t, kBias);
    if (!whole.contains(module)) settings.target_modules.push_back(module);
  }
  if (settings.target_modules.empty())
    return invalid_input(
        "'bias' says that biases were trained, but it has none");
  for (const auto& [key, text] : to_metadata(settings))
    adapter.metadata[key] = text;
  return ok_status();
}

Status write_peft_biases(Adapter& adapter, Json& config) {
  FT_TRY_STATUS(check_names(adapter));
  const std::string target = adapter.get(std::string(kPeftTarget));
  if (target.empty())
    return invalid_input(fmt::format(
        "the adapter's metadata has no '{}': PEFT keeps biases beside a LoRA "
        "layer, and it is not known which layer could be one",
        kPeftTarget));
  for (AdapterEntry& t : adapter.tensors)
    if (t.name == peft_key(target, "bias"))
      t.name = std::string(kPrefix) + target + std::string(kWrapped);
  const std::set<std::string> whole = whole_modules(adapter);
  config["r"] = 1;
  config["lora_alpha"] = 1;
  config["bias"] = "all";
  config["target_modules"] = Json::array({target});
  config["modules_to_save"] = whole.empty() ? Json() : Json(whole);
  return ok_status();
}

}  // namespace ft
