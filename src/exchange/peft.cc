#include "exchange/peft.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "exchange/config_keys.h"
#include "exchange/module_pattern.h"
#include "exchange/peft_biases.h"
#include "exchange/peft_prompts.h"
#include "exchange/peft_ranks.h"
#include "exchange/peft_types.h"
#include "methods/method.h"

namespace ft {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kPrefix = "base_model.model.";

// The module of a tensor that belongs to a method, by its suffix; "" if none.
std::string module_of(std::string_view name, const PeftType& type) {
  if (!name.starts_with(kPrefix)) return {};
  for (const std::string_view suffix : type.suffixes)
    if (name.ends_with(suffix) && name.size() > kPrefix.size() + suffix.size())
      return std::string(name.substr(
          kPrefix.size(), name.size() - kPrefix.size() - suffix.size()));
  return {};
}

bool is_shared(std::string_view name, const PeftType& type) {
  return std::ranges::find(type.shared, name) != type.shared.end();
}

constexpr std::string_view kFeedforward = "feedforward_modules";

// --- Reading -----------------------------------------------------------------

template <size_t N>
bool contains(const std::array<std::string_view, N>& words,
              std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

bool is_plain_init(std::string_view key, const Json& value) {
  return key == "init_lora_weights" &&
         (value.is_boolean() ||
          (value.is_string() &&
           contains(kPeftPlainInits, value.get_ref<const std::string&>())));
}

// The value of the first pattern that matches the module as PEFT matches it:
// a regular expression for the whole name or its last '.'-parts.
Result<std::optional<double>> pattern_value(const Json& patterns,
                                            const std::string& module,
                                            const char* key) {
  for (const auto& [pattern, value] : patterns.items()) {
    if (!value.is_number())
      return invalid_input(
          fmt::format("{} of '{}' is not a number", key, pattern));
    FT_TRY(const bool matches, matches_pattern(key, pattern, module, true));
    if (matches) return std::optional<double>(value.get<double>());
  }
  return std::optional<double>();
}

// Whether IA3 scales the module's input, as PEFT finds out: by the end of its
// name, or by a regular expression for all of it.
Result<bool> is_feedforward(const Json& config, const std::string& module) {
  const auto at = config.find(kFeedforward);
  if (at == config.end() || at->is_null()) return false;
  if (at->is_string())
    return matches_pattern(kFeedforward, at->get<std::string>(), module, false);
  bool any = false;
  for (const Json& name : *at) {
    if (!name.is_string())
      return invalid_input(
          fmt::format("{} is not a list of names", kFeedforward));
    any = any || module.ends_with(name.get<std::string>());
  }
  return any;
}

class PeftReader {
 public:
  PeftReader(const Json& config, const PeftType& type, Adapter& adapter)
      : config_(config), type_(type), adapter_(adapter) {}

  Status run() {
    FT_TRY(const MethodDef* method, find_method(type_.method));
    settings_.method = method->name;
    for (const auto& [key, value] : config_.items())
      FT_TRY_STATUS(read_key(*method, key, value));
    FT_TRY_STATUS(read_modules(*method));
    FT_TRY_STATUS(read_inputs());
    FT_TRY_STATUS(check_shared());
    read_head();
    for (auto& [key, text] : to_metadata(settings_))
      adapter_.metadata[key] = text;
    return ok_status();
  }

 private:
  Status read_key(const MethodDef& method, const std::string& key,
                  const Json& value) {
    const auto own = std::ranges::find_if(
        method.settings, [&](const SettingDef* s) { return s->name == key; });
    if (own != method.settings.end() && key != kFeedforward) {
      if (value.is_null()) return ok_status();
      const std::string text =
          value.is_string() ? value.get<std::string>() : value.dump();
      return set_setting(method, key, text, settings_);
    }
    if (is_plain_init(key, value) || contains(kPeftNoEffect, key) ||
        contains(kPeftRead, key) || is_neutral(value))
      return ok_status();
    return cannot_honour(key, value, type_.peft_type);
  }

  Result<double> number(std::string_view key, double preset) const {
    const auto at = config_.find(key);
    if (at == config_.end() || at->is_null()) return preset;
    if (!at->is_number())
      return invalid_input(fmt::format("'{}' is not a number", key));
    return at->get<double>();
  }

  // The tensors say which modules are adapted and with which rank.
  Status read_modules(const MethodDef& method) {
    FT_TRY(const double rank, number(type_.rank_key, type_.rank_preset));
    FT_TRY(const double alpha,
           number("lora_alpha", type_.has_alpha ? 8 : 2 * rank));
    settings_.lora_alpha = alpha;
    settings_.r = static_cast<int>(std::clamp(rank, 0.0, 1e6));
    const Json none = Json::object();
    const auto at = config_.find("alpha_pattern");
    const Json& patterns = at == config_.end() || !at->is_object() ? none : *at;
    std::set<std::string> seen;
    for (const AdapterEntry& t : adapter_.tensors) {
      const std::string module = module_of(t.name, type_);
      if (module.empty()) continue;
      if (seen.insert(module).second) {
        settings_.target_modules.push_back(module);
        FT_TRY(const auto own_alpha,
               pattern_value(patterns, module, "alpha_pattern"));
        if (own_alpha) settings_.alpha_pattern.emplace_back(module, *own_alpha);
      }
      if (method.default_rank > 0 && t.name.ends_with(type_.rank_suffix) &&
          t.shape.rank() > 0 && t.shape[0] != settings_.r)
        settings_.rank_pattern.emplace_back(module,
                                            static_cast<int>(t.shape[0]));
    }
    if (seen.empty())
      return invalid_input(
          fmt::format("no tensor of it is one of {}", type_.peft_type));
    return ok_status();
  }

  // The modules whose input IA3 scales; the shapes of dense layers tell, too.
  Status read_inputs() {
    if (type_.peft_type != "IA3") return ok_status();
    std::string names;
    for (const AdapterEntry& t : adapter_.tensors) {
      const std::string module = module_of(t.name, type_);
      if (module.empty()) continue;
      FT_TRY(const bool scales_input, is_feedforward(config_, module));
      if (t.shape.rank() == 2 && t.shape[scales_input ? 0 : 1] != 1)
        return invalid_input(
            fmt::format("'{}' has the shape {}, which {} contradicts", t.name,
                        t.shape.to_string(), kFeedforward));
      if (scales_input) names += (names.empty() ? "" : ",") + module;
    }
    settings_.own[std::string(kFeedforward)] = names;
    return ok_status();
  }

  Status check_shared() const {
    for (const std::string_view name : type_.shared)
      if (std::ranges::none_of(adapter_.tensors, [&](const AdapterEntry& t) {
            return t.name == name;
          }))
        return invalid_input(fmt::format(
            "it has no tensor '{}', which fieldtune cannot draw again from "
            "'projection_prng_key': save it with save_projection",
            name));
    return ok_status();
  }

  // modules_to_save: a trained layer, which here is the head.
  void read_head() {
    for (const AdapterEntry& t : adapter_.tensors)
      if (module_of(t.name, type_).empty() && t.name.ends_with(".weight") &&
          t.shape.rank() == 2)
        settings_.num_classes = static_cast<int>(t.shape[0]);
  }

  const Json& config_;
  const PeftType& type_;
  Adapter& adapter_;
  MethodSettings settings_;
};

Result<const PeftType*> type_named(const Json& config) {
  std::string names;
  const auto at = config.find("peft_type");
  const std::string wanted = at != config.end() && at->is_string()
                                 ? at->get<std::string>()
                                 : std::string();
  for (const PeftType& t : peft_types()) {
    if (t.peft_type == wanted) return &t;
    if (names.find(t.peft_type) == std::string::npos)
      names += (names.empty() ? "" : ", ") + std::string(t.peft_type);
  }
  return invalid_input(
      fmt::format("peft_type '{}' is not one of: {}", wanted, names));
}

Status read_settings(const Json& config, const PeftType& type,
                     Adapter& adapter) {
  if (has_virtual_tokens(type)) return read_peft_prompts(config, type, adapter);
  if (has_lora_biases(type) && trains_biases(config)) {
    if (has_biases_only(adapter)) return read_peft_biases(adapter);
    FT_TRY_STATUS(rename_from_peft(adapter));
  }
  if (type.peft_type == "ADALORA")
    FT_TRY_STATUS(read_peft_ranks(config, adapter));
  return PeftReader(config, type, adapter).run();
}

// --- Writing -----------------------------------------------------------------

// A module name as a regular expression that matches nothing else.
std::string escaped(const std::string& module) {
  std::string out;
  for (const char c : module) {
    if (std::string_view(".^$|()[]{}*+?\\").find(c) != std::string_view::npos)
      out += '\\';
    out += c;
  }
  return out;
}

// A setting in JSON's own types.
Json typed(const SettingDef& setting, const MethodSettings& settings) {
  switch (setting.kind) {
    case SettingDef::Kind::kInt: return settings.integer(setting);
    case SettingDef::Kind::kReal: return settings.real(setting);
    case SettingDef::Kind::kFlag: return settings.flag(setting);
    case SettingDef::Kind::kList: return settings.list(setting);
    case SettingDef::Kind::kWord:
    case SettingDef::Kind::kText: break;
  }
  return settings.word(setting);
}

// target_modules, modules_to_save, and where it has ranks, the patterns.
void write_modules(const Adapter& adapter, const PeftType& type,
                   const MethodSettings& settings, bool has_rank,
                   Json& config) {
  std::set<std::string> targets, saved;
  Json ranks = Json::object(), alphas = Json::object();
  for (const AdapterEntry& t : adapter.tensors) {
    const std::string module = module_of(t.name, type);
    if (is_shared(t.name, type)) continue;
    if (module.empty()) {
      if (is_lone_bias(adapter, t)) continue;
      const std::string_view name =
          std::string_view(t.name).substr(kPrefix.size());
      saved.emplace(name.substr(0, name.rfind('.')));
      continue;
    }
    targets.insert(module);
    if (!t.name.ends_with(type.rank_suffix)) continue;
    if (t.shape[0] != settings.r) ranks[escaped(module)] = t.shape[0];
    const double alpha = settings.alpha_of(module);
    if (alpha != settings.lora_alpha) alphas[escaped(module)] = alpha;
  }
  config["target_modules"] = targets;
  config["modules_to_save"] = saved.empty() ? Json() : Json(saved);
  if (!has_rank) return;
  config[std::string(type.rank_key)] = settings.r;
  if (!type.has_alpha) return;
  config["lora_alpha"] = settings.lora_alpha;
  config["rank_pattern"] = ranks;
  config["alpha_pattern"] = alphas;
}

// feedforward_modules by whole names, as PEFT compares their ends.
void write_inputs(const Adapter& adapter, const PeftType& type, Json& config) {
  if (!config.contains(kFeedforward)) return;
  std::set<std::string> inputs;
  for (const AdapterEntry& t : adapter.tensors)
    for (const Json& pattern : config[kFeedforward])
      if (const std::string module = module_of(t.name, type);
          matches_module(pattern.get<std::string>(), module))
        inputs.insert(module);
  config[kFeedforward] = inputs;
}

Status check_name(const AdapterEntry& tensor, const PeftType& type) {
  if (tensor.name.starts_with(kPrefix) || is_shared(tensor.name, type))
    return ok_status();
  return invalid_input(
      fmt::format("adapter tensor '{}' has no name of PEFT's", tensor.name));
}

// Of methods that belong to modules.
Status write_settings(const Adapter& adapter, const PeftType& type,
                      const MethodSettings& settings, const MethodDef& method,
                      Json& config) {
  for (const AdapterEntry& t : adapter.tensors)
    FT_TRY_STATUS(check_name(t, type));
  write_modules(adapter, type, settings, method.default_rank > 0, config);
  for (const SettingDef* s : method.settings)
    config[std::string(s->name)] = typed(*s, settings);
  write_inputs(adapter, type, config);
  if (!type.shared.empty()) config["save_projection"] = true;
  return ok_status();
}

}  // namespace

Result<PeftFiles> to_peft(const Adapter& adapter,
                          const std::string& base_name) {
  FT_TRY(const MethodSettings settings,
         settings_from_metadata(adapter.metadata));
  FT_TRY(const MethodDef* method, find_method(settings.method));
  const auto types = peft_types();
  const auto type = std::ranges::find(types, method->name, &PeftType::method);
  if (type == types.end())
    return usage_error(fmt::format(
        "PEFT has no method that an adapter of '{}' could be written as",
        method->name));
  Adapter copy = adapter;
  Json config = {{"peft_type", type->peft_type},
                 {"task_type", nullptr},
                 {"base_model_name_or_path", base_name},
                 {"inference_mode", true}};
  if (has_virtual_tokens(*type))
    FT_TRY_STATUS(write_peft_prompts(*type, settings, copy, config));
  else if (type->method == "bitfit")
    FT_TRY_STATUS(write_peft_biases(copy, config));
  else
    FT_TRY_STATUS(write_settings(adapter, *type, settings, *method, config));
  if (has_lora_biases(*type) && trains_biases(config))
    FT_TRY_STATUS(rename_to_peft(copy));
  if (type->peft_type == "ADALORA")
    FT_TRY_STATUS(write_peft_ranks(settings.r, copy, config));
  copy.metadata["format"] = "pt";  // PEFT's loader asks for it
  for (AdapterEntry& t : copy.tensors) t.quantizer = {};  // as PEFT has them
  FT_TRY(auto tensors, encode_adapter(copy));
  return PeftFiles{config.dump(2) + "\n", std::move(tensors)};
}

Result<Adapter> from_peft(const std::string& config_text,
                          std::span<const std::byte> tensors,
                          const std::string& origin, const LoadRules& rules) {
  const Json config = parse_config(config_text);
  if (!config.is_object())
    return invalid_input(
        fmt::format("{}: adapter_config.json is not a JSON object", origin));
  const auto type = type_named(config);
  if (!type.ok()) return Status(type.status()).in(origin);
  FT_TRY(Adapter adapter, load_foreign(tensors, rules, origin));
  const Status status = read_settings(config, **type, adapter);
  if (!status.ok()) return invalid_input(origin + ": " + status.message());
  if (adapter.get("precision").empty()) adapter.metadata["precision"] = "mixed";
  return adapter;
}

}  // namespace ft
