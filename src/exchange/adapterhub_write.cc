#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "exchange/adapterhub.h"
#include "exchange/adapterhub_places.h"
#include "methods/method.h"

namespace ft {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kOurs = "base_model.model.";
// Whose format this is; without it, "gelu" would be read as another function.
constexpr const char* kVersion = "adapters.1.3.0";

struct Layout {
  std::string model_type;
  std::map<int64_t, std::set<std::string>> settings;  // of each layer
  int64_t hidden = 0;
  int64_t num_classes = 0;
};

// AdapterHub names adapters as Python modules.
Status check_name(const std::string& name) {
  if (!name.empty() && name.find('.') == std::string::npos) return ok_status();
  return usage_error(fmt::format(
      "'{}' cannot be the name of an adapter: it is empty or has a dot; choose "
      "one with --adapter-name",
      name));
}

// Renames the tensors; those of the head move into `head`.
Status rename_tensors(const std::string& name, Adapter& adapter, Adapter& head,
                      Layout& layout) {
  std::vector<AdapterEntry> kept;
  for (AdapterEntry& entry : adapter.tensors) {
    entry.quantizer = {};  // as AdapterHub has them
    const int64_t rows = entry.shape.rank() > 0 ? entry.shape[0] : 0;
    const std::string own = entry.name.starts_with(kOurs)
                                ? entry.name.substr(kOurs.size())
                                : entry.name;
    if (const auto t = parse_our_key(entry.name)) {
      layout.model_type = t->place->model_type;
      layout.settings[t->layer].emplace(t->place->setting);
      if (t->tensor == "adapter_up.bias") layout.hidden = rows;
      entry.name = t->hub_key(name);
      kept.push_back(std::move(entry));
    } else if (own == "classifier.weight" || own == "classifier.bias") {
      layout.num_classes = rows;
      entry.name = own;
      head.tensors.push_back(std::move(entry));
    } else {
      return usage_error(fmt::format(
          "AdapterHub has no place for '{}': its adapters stand at the dense "
          "layers in front of a residual sum of BERT (attention.output.dense, "
          "output.dense) and Llama (o_proj, down_proj)",
          own));
    }
  }
  adapter.tensors = std::move(kept);
  if (!adapter.tensors.empty()) return ok_status();
  return invalid_input("the adapter has no tensors of a bottleneck");
}

// The layers without an adapter. Those that have one must have the same.
Result<Json> layers_left_out(const Adapter& adapter, const Layout& layout) {
  const Json told = Json::parse(adapter.get("num_layers"), nullptr, false);
  const Json before = Json::parse(adapter.get("leave_out"), nullptr, false);
  const int64_t last = layout.settings.rbegin()->first;
  const bool tells = told.is_number_unsigned() && told <= kMaxHubLayers;
  if (!tells && !before.is_array())
    return invalid_input(
        "the adapter does not tell 'num_layers', which AdapterHub needs to "
        "know the layers without an adapter");
  const int64_t count = tells ? told.get<int64_t>() : last + 1;
  std::set<int64_t> without;
  for (const Json& layer : before)
    if (layer.is_number_unsigned()) without.insert(layer.get<int64_t>());
  const auto& first = layout.settings.begin()->second;
  for (int64_t layer = 0; layer < std::max(count, last + 1); ++layer) {
    const auto at = layout.settings.find(layer);
    if (at == layout.settings.end())
      without.insert(layer);
    else if (at->second != first)
      return usage_error(
          fmt::format("AdapterHub puts the same adapters into every layer, but "
                      "layer {} has "
                      "{} and layer {} has {}",
                      layout.settings.begin()->first, fmt::join(first, ", "),
                      layer, fmt::join(at->second, ", ")));
  }
  return Json(without);
}

// Every setting that its BnConfig has no other value for by default.
Result<Json> bottleneck_config(const Adapter& adapter, const Layout& layout) {
  FT_TRY(const MethodSettings settings,
         settings_from_metadata(adapter.metadata));
  FT_TRY(const MethodDef* method, find_method(settings.method));
  std::map<std::string_view, const SettingDef*> own;
  for (const SettingDef* s : method->settings) own[s->name] = s;
  const std::string variant = settings.word(*own.at("variant"));
  if (variant == "parallel")
    return usage_error(
        "AdapterHub's parallel adapters stand beside a block, this one beside "
        "its layer; train with --variant parallel_block to export it");
  FT_TRY(const Json leave_out, layers_left_out(adapter, layout));
  const auto& places = layout.settings.begin()->second;
  return Json{{"architecture", nullptr},
              {"mh_adapter", places.contains("mh_adapter")},
              {"output_adapter", places.contains("output_adapter")},
              {"reduction_factor", settings.real(*own.at("reduction_factor"))},
              {"non_linearity", settings.word(*own.at("non_linearity"))},
              {"original_ln_before", variant == "pfeiffer"},
              {"original_ln_after", true},
              {"ln_before", false},
              {"ln_after", false},
              {"init_weights", "mam_adapter"},
              {"is_parallel", variant == "parallel_block"},
              {"scaling", settings.real(*own.at("scaling"))},
              {"use_gating", false},
              {"residual_before_ln", true},
              {"adapter_residual_before_ln", false},
              {"inv_adapter", nullptr},
              {"cross_adapter", false},
              {"leave_out", leave_out},
              {"dropout", 0.0},
              {"phm_layer", false}};
}

Json file_of(const Layout& layout, const char* model_class,
             const std::string& model_name) {
  return {{"hidden_size", layout.hidden},
          {"model_class", model_class},
          {"model_name", model_name},
          {"model_type", layout.model_type},
          {"version", kVersion}};
}

Json head_config(const Adapter& adapter, const Layout& layout,
                 const std::string& model_name) {
  Json file = file_of(layout, "BertForSequenceClassification", model_name);
  const Json classes = Json::parse(adapter.get("classes"), nullptr, false);
  const bool named =
      classes.is_array() && std::cmp_equal(classes.size(), layout.num_classes);
  Json labels = Json::object();
  for (int64_t i = 0; i < layout.num_classes; ++i) {
    const Json name = named ? classes[static_cast<size_t>(i)] : Json();
    labels[name.is_string() ? name.get<std::string>()
                            : fmt::format("LABEL_{}", i)] = i;
  }
  file["config"] = nullptr;
  file["label2id"] = labels;
  file["name"] = nullptr;
  file["num_labels"] = layout.num_classes;
  return file;
}

Result<std::vector<std::byte>> encode(Adapter adapter) {
  adapter.metadata["format"] = "pt";  // as safetensors of PyTorch say
  return encode_adapter(adapter);
}

}  // namespace

Result<AdapterHubFiles> to_adapterhub(const Adapter& adapter,
                                      const std::string& name,
                                      const std::string& model_name) {
  if (adapter.get("method") != "bottleneck")
    return usage_error(fmt::format(
        "fieldtune writes bottleneck adapters in AdapterHub's format, not one "
        "of '{}'",
        adapter.get("method")));
  FT_TRY_STATUS(check_name(name));
  Adapter body = adapter, head{.metadata = adapter.metadata, .tensors = {}};
  Layout layout;
  FT_TRY_STATUS(rename_tensors(name, body, head, layout));
  FT_TRY(const Json settings, bottleneck_config(body, layout));
  const bool bert = layout.model_type == "bert";
  Json config = file_of(layout, bert ? "BertModel" : "LlamaModel", model_name);
  config["name"] = name;
  config["config"] = settings;
  AdapterHubFiles files;
  files.config = config.dump(2) + "\n";
  FT_TRY(files.tensors, encode(std::move(body)));
  if (head.tensors.empty()) return files;
  files.head_config = head_config(adapter, layout, model_name).dump(2) + "\n";
  FT_TRY(files.head, encode(std::move(head)));
  return files;
}

}  // namespace ft
