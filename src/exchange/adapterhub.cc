#include "exchange/adapterhub.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "exchange/adapterhub_places.h"
#include "exchange/config_keys.h"
#include "ir/real_values.h"
#include "methods/bottleneck_sites.h"
#include "methods/head.h"
#include "methods/method.h"

namespace ft {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kMethod = "bottleneck";
constexpr std::string_view kOurs = "base_model.model.";
// Metadata of an adapter that is not fitted to a base yet: the layers without
// one.
constexpr const char* kLeaveOut = "leave_out";
constexpr const char* kUnfitted = "adapterhub";
// The head that fieldtune replaces; others must be the base's own.
constexpr std::array<std::string_view, 2> kNewHead = {"classifier.weight",
                                                      "classifier.bias"};

// How an adapter was started or trained, or what only settings that are refused
// would read.
constexpr std::array<std::string_view, 18> kNoEffect = {
    "architecture",
    "init_weights",
    "init_weights_seed",
    "dropout",
    "stochastic_depth",
    "adapter_residual_before_ln",
    "phm_dim",
    "factorized_phm_W",
    "shared_W_phm",
    "shared_phm_rule",
    "factorized_phm_rule",
    "phm_c_init",
    "phm_init_range",
    "learn_phm",
    "phm_rank",
    "phm_bias",
    "hypercomplex_nonlinearity",
    "inv_adapter_reduction_factor"};
constexpr std::array<std::string_view, 8> kRead = {
    "mh_adapter",  "output_adapter", "reduction_factor",   "non_linearity",
    "is_parallel", "scaling",        "original_ln_before", "leave_out"};

template <size_t N>
bool contains(const std::array<std::string_view, N>& words,
              std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

// AdapterHub's names before its files told their version.
std::string activation_of(std::string word, bool versioned) {
  std::ranges::transform(word, word.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  if (versioned) return word;
  if (word == "gelu") return "gelu_new";
  return word == "gelu_orig" ? "gelu" : word;
}

class HubReader {
 public:
  HubReader(const Json& file, Adapter& adapter)
      : file_(file), config_(file["config"]), adapter_(adapter) {}

  Status run() {
    FT_TRY_STATUS(check_model());
    FT_TRY_STATUS(check_keys());
    FT_TRY_STATUS(read_variant());
    FT_TRY_STATUS(read_numbers());
    FT_TRY_STATUS(read_leave_out());
    FT_TRY_STATUS(read_tensors());
    for (auto& [key, text] : to_metadata(settings_))
      adapter_.metadata[key] = text;
    adapter_.metadata[kUnfitted] = name_;
    adapter_.metadata[kLeaveOut] = Json(leave_out_).dump();
    return ok_status();
  }

 private:
  static constexpr const char* kWhat = "a bottleneck adapter";
  static constexpr int64_t kMaxHidden = 1 << 24;

  Status check_model() {
    name_ = file_.value("name", Json()).is_string()
                ? file_["name"].get<std::string>()
                : std::string();
    if (name_.empty()) return invalid_input("'name' is not a name");
    const Json type = file_.value("model_type", Json());
    std::set<std::string_view> known;
    for (const HubPlace& p : hub_places()) known.insert(p.model_type);
    if (type.is_string()) model_type_ = type.get<std::string>();
    if (!known.contains(model_type_))
      return invalid_input(fmt::format("model_type {} is not one of: {}",
                                       type.dump(), fmt::join(known, ", ")));
    const Json hidden = file_.value("hidden_size", Json());
    if (hidden.is_null()) return ok_status();
    if (!hidden.is_number_unsigned() || hidden > kMaxHidden)
      return cannot_honour("hidden_size", hidden, kWhat);
    hidden_ = hidden.get<int64_t>();
    return ok_status();
  }

  Status check_keys() {
    const Json method = config_.value("architecture", Json());
    if (!method.is_null())
      return invalid_input(
          fmt::format("architecture {} is not one that fieldtune reads from "
                      "AdapterHub, which is bottleneck adapters (null)",
                      method.dump()));
    for (const auto& [key, value] : config_.items()) {
      const bool read = contains(kRead, key) || contains(kNoEffect, key);
      const bool wanted = key == "original_ln_after" && value == Json(true);
      const bool refused = key == "original_ln_after" && !wanted;
      if (key == "residual_before_ln" || read || wanted) continue;
      if (refused || !is_neutral(value))
        return cannot_honour(key, value, kWhat);
    }
    settings_.method = kMethod;
    return ok_status();
  }

  Result<bool> flag(const char* key, std::optional<bool> preset) const {
    const Json value = config_.value(key, Json());
    if (value.is_null() && preset) return *preset;
    if (!value.is_boolean())
      return invalid_input(fmt::format("'{}' is not true or false", key));
    return value.get<bool>();
  }

  Status set(const char* key, const std::string& text) {
    FT_TRY(const MethodDef* method, find_method(kMethod));
    return set_setting(*method, key, text, settings_);
  }

  Status read_variant() {
    FT_TRY(const bool parallel, flag("is_parallel", false));
    FT_TRY(const bool behind_norm, flag("original_ln_before", false));
    const Json residual = config_.value("residual_before_ln", Json(true));
    const bool known = residual == Json(true) ||
                       (residual == Json(false) && !behind_norm) || parallel;
    if (!known) return cannot_honour("residual_before_ln", residual, kWhat);
    for (const HubPlace& p : hub_places()) {
      FT_TRY(const bool has, flag(std::string(p.setting).c_str(), {}));
      if (has) settings_on_.insert(std::string(p.setting));
    }
    return set("variant", parallel      ? "parallel_block"
                          : behind_norm ? "pfeiffer"
                                        : "houlsby");
  }

  Status read_numbers() {
    const Json factor = one_factor(config_.value("reduction_factor", Json()));
    if (!factor.is_number())
      return cannot_honour("reduction_factor", config_["reduction_factor"],
                           "the layers of a bottleneck adapter");
    reduction_ = factor.get<double>();
    FT_TRY_STATUS(set("reduction_factor", factor.dump()));
    const Json scaling = config_.value("scaling", Json(1.0));
    if (!scaling.is_number()) return cannot_honour("scaling", scaling, kWhat);
    FT_TRY_STATUS(set("scaling", scaling.dump()));
    const Json act = config_.value("non_linearity", Json());
    if (!act.is_string()) return cannot_honour("non_linearity", act, kWhat);
    return set("non_linearity", activation_of(act.get<std::string>(),
                                              file_.contains("version")));
  }

  // One number for all layers; of an object whose values differ, the object.
  static Json one_factor(const Json& factor) {
    if (!factor.is_object() || factor.empty()) return factor;
    for (const Json& value : factor)
      if (value != *factor.begin()) return factor;
    return *factor.begin();
  }

  Status read_leave_out() {
    const Json layers = config_.value("leave_out", Json::array());
    if (layers.is_null()) return ok_status();
    for (const Json& layer : layers) {
      if (!layers.is_array() || !layer.is_number_unsigned())
        return cannot_honour("leave_out", layers, kWhat);
      leave_out_.insert(layer.get<int64_t>());
    }
    return ok_status();
  }

  bool expected(const HubTensor& t) const {
    return settings_on_.contains(std::string(t.place->setting)) &&
           !leave_out_.contains(t.layer);
  }

  Status read_tensors() {
    std::set<std::string> there, modules;
    std::vector<HubTensor> found;
    for (AdapterEntry& entry : adapter_.tensors) {
      const auto t = parse_hub_key(entry.name, model_type_, name_);
      if (!t || !expected(*t) || t->hub_key(name_) != entry.name)
        return invalid_input(fmt::format(
            "its settings have no place for the tensor '{}'", entry.name));
      FT_TRY_STATUS(check_shape(entry, t->tensor));
      there.insert(entry.name);
      if (modules.insert(t->module()).second) {
        settings_.target_modules.push_back(t->module());
        found.push_back(*t);
      }
      entry.name = t->our_key();
    }
    if (found.empty())
      return invalid_input(
          fmt::format("no tensor of it is one of an adapter '{}'", name_));
    for (const HubTensor& t : found) FT_TRY_STATUS(check_layer(t, there));
    return ok_status();
  }

  // Everything that the settings promise for the layer of `t`.
  Status check_layer(HubTensor t, const std::set<std::string>& there) const {
    for (const HubPlace& place : hub_places())
      for (const std::string_view tensor : kHubTensors) {
        t.place = &place;
        t.tensor = tensor;
        if (place.model_type == model_type_ && expected(t) &&
            !there.contains(t.hub_key(name_)))
          return invalid_input(
              fmt::format("it has no tensor '{}'", t.hub_key(name_)));
      }
    return ok_status();
  }

  // [width, hidden], [width], [hidden, width] and [hidden].
  Status check_shape(const AdapterEntry& entry, const std::string& tensor) {
    const bool up = tensor.starts_with("adapter_up");
    const bool matrix = tensor.ends_with("weight");
    const Shape& shape = entry.shape;
    if (hidden_ == 0 && matrix && shape.rank() == 2)
      hidden_ = shape[up ? 0 : 1];
    if (hidden_ == 0 && up && shape.rank() == 1) hidden_ = shape[0];
    const int64_t width = bottleneck_width(hidden_, reduction_);
    const int64_t rows = up ? hidden_ : width;
    const Shape wanted =
        matrix ? Shape{rows, up ? width : hidden_} : Shape{rows};
    if (hidden_ == 0 || shape == wanted) return ok_status();
    return invalid_input(
        fmt::format("'{}' has the shape {}, but hidden_size {} and "
                    "reduction_factor {} make it {}",
                    entry.name, shape.to_string(), hidden_, reduction_,
                    wanted.to_string()));
  }

  const Json& file_;
  const Json& config_;
  Adapter& adapter_;
  MethodSettings settings_;
  std::string name_, model_type_;
  std::set<std::string> settings_on_;
  std::set<int64_t> leave_out_;
  double reduction_ = 1;
  int64_t hidden_ = 0;
};

// The head's tensors under our names; num_classes where it is a new one's.
void add_head(Adapter head, Adapter& adapter) {
  for (AdapterEntry& t : head.tensors) {
    if (t.name == kNewHead[0] && t.shape.rank() == 2)
      adapter.metadata["num_classes"] = fmt::format("{}", t.shape[0]);
    t.name = std::string(kOurs) + t.name;
    adapter.tensors.push_back(std::move(t));
  }
}

// The constant of the base that the name means; nullptr: none.
const Value* base_value(const Graph& base, const std::string& name) {
  for (ValueId v = 0; v < base.num_values(); ++v)
    if (base.value(v).kind == ValueKind::kConstant &&
        base.value(v).name == name)
      return &base.value(v);
  const NodeId n = find_head(base).head;
  if (n == kNone) return nullptr;
  const Node& head = base.node(n);
  if (name == head.name + ".weight") return &base.value(head.inputs[1]);
  const bool bias = head.inputs.size() > 2 && head.inputs[2] != kNone;
  if (bias && name == head.name + ".bias") return &base.value(head.inputs[2]);
  return nullptr;
}

// Without what PEFT puts in front of every name.
std::string own_name(const AdapterEntry& t) {
  return t.name.starts_with(kOurs) ? t.name.substr(kOurs.size()) : t.name;
}

bool is_base_value(const Graph& base, const AdapterEntry& t) {
  const Value* own = base_value(base, own_name(t));
  return own != nullptr && own->type.shape == t.shape &&
         real_values(*own) == t.values;
}

// What a model has in front of the names of its layers.
std::string prefix_of(const Graph& base) {
  for (const AdaptableModule& m : adaptable_modules(base))
    if (const auto t = parse_our_key(peft_key(m.name, kHubTensors[0])))
      return t->prefix;
  return {};
}

class HubFitter {
 public:
  HubFitter(const Graph& base, Adapter& adapter)
      : base_(base), adapter_(adapter) {}

  Status run() {
    FT_TRY_STATUS(fit_tensors());
    FT_TRY_STATUS(check_layers());
    Json names = Json::array();
    for (const HubTensor& t : found_)
      if (t.tensor == kHubTensors[0]) names.push_back(t.module());
    adapter_.metadata["target_modules"] = names.dump();
    adapter_.metadata.erase(kUnfitted);
    return ok_status();
  }

 private:
  Status fit_tensors() {
    const std::string prefix = prefix_of(base_);
    std::vector<AdapterEntry> kept;
    for (AdapterEntry& entry : adapter_.tensors) {
      auto t = parse_our_key(entry.name);
      if (t) {
        t->prefix = prefix;
        entry.name = t->our_key();
        found_.push_back(*t);
      } else if (!contains(kNewHead, own_name(entry))) {
        if (is_base_value(base_, entry)) continue;
        return invalid_input(fmt::format(
            "the adapter's head has '{}', which is not the base model's; "
            "fieldtune reads a new 'classifier' only: save the adapter with "
            "with_head=False",
            own_name(entry)));
      }
      kept.push_back(std::move(entry));
    }
    adapter_.tensors = std::move(kept);
    return ok_status();
  }

  Status check_layers() const {
    std::set<std::string_view> places;
    std::set<std::string> modules;
    std::set<int64_t> without;
    for (const HubTensor& t : found_) {
      places.insert(t.place->module);
      modules.insert(t.module());
    }
    const Json left = Json::parse(adapter_.get(kLeaveOut), nullptr, false);
    for (const Json& layer : left)
      if (layer.is_number_unsigned()) without.insert(layer.get<int64_t>());
    for (HubTensor t : found_)
      for (t.layer = 0; t.layer < count_layers(base_); ++t.layer)
        if (!without.contains(t.layer) && !modules.contains(t.module()))
          return invalid_input(fmt::format(
              "the adapter has no tensors for '{}', and its settings do not "
              "leave layer {} out",
              t.module(), t.layer));
    return ok_status();
  }

  const Graph& base_;
  Adapter& adapter_;
  std::vector<HubTensor> found_;
};

}  // namespace

bool is_adapterhub(const std::string& text) {
  const Json file = parse_config(text);
  return file.is_object() && !file.contains("peft_type") &&
         file.contains("config") && file.contains("model_type");
}

Result<Adapter> from_adapterhub(const std::string& text,
                                std::span<const std::byte> tensors,
                                std::span<const std::byte> head,
                                const std::string& origin,
                                const LoadRules& rules) {
  const Json file = parse_config(text);
  if (!file.is_object() || !file.value("config", Json()).is_object())
    return invalid_input(
        fmt::format("{}: adapter_config.json has no object 'config'", origin));
  FT_TRY(Adapter adapter, load_foreign(tensors, rules, origin));
  const Status status = HubReader(file, adapter).run();
  if (!status.ok()) return invalid_input(origin + ": " + status.message());
  if (!head.empty()) {
    LoadRules of_head = rules;
    of_head.sha256.clear();  // that is of the tensors
    of_head.shapes.clear();
    FT_TRY(Adapter read, load_foreign(head, of_head, origin));
    add_head(std::move(read), adapter);
  }
  if (adapter.get("precision").empty()) adapter.metadata["precision"] = "mixed";
  return adapter;
}

Status fit_adapterhub(const Graph& base, Adapter& adapter) {
  if (adapter.get(kUnfitted).empty()) return ok_status();
  return HubFitter(base, adapter).run();
}

}  // namespace ft
