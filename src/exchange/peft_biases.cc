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

Status drop_zero_updates(Adapter& adapter) {
  for (const AdapterEntry& t : adapter.tensors)
    if (t.name.ends_with(".lora_B.weight") &&
        std::ranges::any_of(t.values, [](float v) { return v != 0; }))
      return invalid_input(
          fmt::format("'bias' says that biases were trained beside the update "
                      "'{}', which fieldtune cannot honour together",
                      t.name));
  std::erase_if(adapter.tensors, is_update);
  return ok_status();
}

}  // namespace

bool trains_biases(const Json& config) {
  const auto bias = config.find("bias");
  return bias != config.end() &&
         (*bias == Json("all") || *bias == Json("lora_only"));
}

Status read_peft_biases(Adapter& adapter) {
  FT_TRY_STATUS(check_names(adapter));
  FT_TRY_STATUS(drop_zero_updates(adapter));
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
