#include "train/adapted_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/hash.h"
#include "exchange/adapterhub.h"
#include "exchange/any_adapter.h"
#include "train/answers.h"

namespace ft {
namespace {

using Json = nlohmann::ordered_json;

const AdapterEntry* find_entry(const Adapter& adapter,
                               const std::string& name) {
  for (const AdapterEntry& t : adapter.tensors)
    if (t.name == name) return &t;
  return nullptr;
}

// Masks of sparse methods, by module.
void read_masks(const Adapter& adapter, MethodSettings& settings) {
  const std::string prefix = peft_key("", "");
  const std::string_view model = std::string_view(prefix).substr(
      0, prefix.size() - 2);  // without the dots around the module
  for (const AdapterEntry& t : adapter.tensors) {
    const std::string_view name = t.name;
    const size_t end = name.rfind('.');
    if (end == std::string::npos || name.substr(end + 1) != kMaskTensor ||
        !name.starts_with(model) || end <= model.size() + 1)
      continue;
    const auto module = name.substr(model.size() + 1, end - model.size() - 1);
    settings.masks[std::string(module)] = t.values;
  }
}

// What is wrong in a file is not its user's order.
Result<MethodSettings> recorded_settings(const Metadata& metadata) {
  auto settings = settings_from_metadata(metadata);
  const auto method =
      settings.ok() ? find_method(settings->method) : settings.status();
  if (!method.ok())
    return invalid_input("the adapter's metadata: " +
                         method.status().message());
  if ((*method)->default_rank > 0 && settings->r < 1)
    return invalid_input(
        fmt::format("the adapter's metadata: rank {} of method {}: must be at "
                    "least 1",
                    settings->r, settings->method));
  return settings;
}

Result<LoadedAdapter> with_settings(Adapter adapter, double weight) {
  LoadedAdapter loaded{
      .adapter = std::move(adapter), .method = {}, .sha256 = {}};
  FT_TRY(loaded.method, recorded_settings(loaded.adapter.metadata));
  loaded.method.weight = weight;
  read_masks(loaded.adapter, loaded.method);
  return loaded;
}

// Calls `use` with every tensor of adapter `index` and its values in the
// parameter's own layout. Refuses missing and surplus tensors, and other
// shapes.
template <class Use>
Status for_each_tensor(const Adapter& adapter, const CompiledStep& step,
                       size_t index, const Use& use) {
  const auto belongs = [&](const AdapterTensor& t, const std::string& name) {
    return t.adapter == index && t.name == name;
  };
  for (const AdapterEntry& t : adapter.tensors)
    if (std::ranges::none_of(
            step.adapted.tensors,
            [&](const AdapterTensor& own) { return belongs(own, t.name); }))
      return invalid_input(fmt::format(
          "adapter tensor '{}' has no place in this model with the adapter's "
          "settings",
          t.name));
  for (const AdapterTensor& t : step.adapted.tensors) {
    if (t.adapter != index) continue;
    const AdapterEntry* entry = find_entry(adapter, t.name);
    if (entry == nullptr)
      return invalid_input(
          fmt::format("the adapter lacks tensor '{}'", t.name));
    if (entry->shape != t.file_shape())
      return invalid_input(
          fmt::format("adapter tensor '{}' has shape {}, expected {}", t.name,
                      entry->shape.to_string(), t.file_shape().to_string()));
    if (t.param == kNone && t.fixed != entry->values)
      return invalid_input(fmt::format(
          "adapter tensor '{}' differs from what its settings give", t.name));
    use(t, from_file_layout(t, entry->values));
  }
  return ok_status();
}

}  // namespace

int recorded_seq_len(const Adapter& adapter) {
  const std::string text = adapter.get("seq_len");
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return std::max(value, 0);
}

Status check_below(const LoadedAdapter& adapter,
                   std::span<const LoadedAdapter> before,
                   const std::string& path) {
  const std::string text = adapter.adapter.get("on_top_of");
  if (text.empty()) return ok_status();
  const Json hashes = Json::parse(text, nullptr, false);
  if (!hashes.is_array())
    return invalid_input("adapter metadata 'on_top_of' is malformed");
  for (const Json& hash : hashes)
    if (!hash.is_string() ||
        std::ranges::find(before, hash.get<std::string>(),
                          &LoadedAdapter::sha256) == before.end())
      return invalid_input(fmt::format(
          "'{}' was trained on top of another adapter (sha256 {}); give that "
          "one in front of it",
          path, hash.dump()));
  return ok_status();
}

Result<Precision> common_precision(std::span<const LoadedAdapter> adapters) {
  std::string word;
  for (const LoadedAdapter& a : adapters) {
    if (a.method.weight == 0) continue;
    const std::string own = a.adapter.get("precision");
    if (!word.empty() && own != word)
      return invalid_input(fmt::format(
          "the adapters were trained in different precisions ({} and {})", word,
          own));
    word = own;
  }
  return parse_precision(word);
}

Status install_adapter(const Adapter& adapter, CompiledStep& step,
                       size_t index) {
  Graph& graph = step.program.graph;
  return for_each_tensor(
      adapter, step, index,
      [&](const AdapterTensor& t, std::span<const float> values) {
        set_adapter_values(graph, t, values);
      });
}

Status write_adapter(const Adapter& adapter, const CompiledStep& step,
                     size_t index, std::span<std::byte> region) {
  return for_each_tensor(
      adapter, step, index,
      [&](const AdapterTensor& t, std::span<const float> values) {
        set_adapter_values(step.program, region, t, values);
      });
}

Metadata AdaptedModel::metadata() const {
  for (const LoadedAdapter& a : adapters)
    if (a.method.num_classes > 0 || a.method.method == "head")
      return a.adapter.metadata;
  return adapters.empty() ? Metadata() : adapters[0].adapter.metadata;
}

Result<LoadedAdapter> open_adapter(const AdapterChoice& choice) {
  FT_TRY(Adapter adapter, load_any_adapter(choice.path, choice.rules));
  FT_TRY(LoadedAdapter loaded,
         with_settings(std::move(adapter), choice.weight));
  FT_TRY(const MappedFile file,
         MappedFile::open(adapter_tensor_file(choice.path)));
  loaded.sha256 = sha256_hex(file.bytes());
  return loaded;
}

Result<LoadedAdapter> read_adapter(std::span<const std::byte> file,
                                   const std::string& origin,
                                   const LoadRules& rules, double weight) {
  FT_TRY(Adapter adapter, load_checked(file, rules, origin));
  return with_settings(std::move(adapter), weight);
}

Result<std::vector<LoadedAdapter>> open_adapters(
    std::span<const AdapterChoice> choices) {
  std::vector<LoadedAdapter> adapters;
  for (const AdapterChoice& choice : choices) {
    FT_TRY(LoadedAdapter loaded, open_adapter(choice));
    FT_TRY_STATUS(check_below(loaded, adapters, choice.path));
    adapters.push_back(std::move(loaded));
  }
  return adapters;
}

Status fit_to_base(const BaseModel& base, LoadedAdapter& loaded) {
  FT_TRY_STATUS(check_base(loaded.adapter, base.sha256));
  FT_TRY_STATUS(fit_adapterhub(base.graph, loaded.adapter));
  FT_TRY(MethodSettings fitted,
         settings_from_metadata(loaded.adapter.metadata));
  loaded.method.target_modules = std::move(fitted.target_modules);
  return ok_status();
}

Result<AdaptedModel> load_adapted_model(const std::string& model_path,
                                        std::span<const AdapterChoice> choices,
                                        const PlanOptions& plan, int seq_len,
                                        SideArithmetic sides) {
  AdaptedModel model;
  FT_TRY(model.adapters, open_adapters(choices));
  for (const LoadedAdapter& a : model.adapters)
    if (seq_len == 0) seq_len = recorded_seq_len(a.adapter);
  const bool any = std::ranges::any_of(
      model.adapters,
      [](const LoadedAdapter& a) { return a.method.weight != 0; });
  if (any) {
    FT_TRY(model.precision, common_precision(model.adapters));
  }
  // Alone it answers as deployed; with adapters, as it was trained.
  FT_TRY(model.base, any ? load_base(model_path, model.precision, 1, seq_len)
                         : open_base_model(model_path, {.dynamic_range = true,
                                                        .batch = 1,
                                                        .seq_len = seq_len}));
  std::vector<MethodSettings> methods;
  for (LoadedAdapter& a : model.adapters) {
    FT_TRY_STATUS(fit_to_base(model.base, a));
    methods.push_back(a.method);
  }
  if (!any) {
    FT_TRY(model.step, compile_base(model.base.graph, plan));
    return model;
  }
  const auto install = [&](CompiledStep& step) -> Status {
    for (size_t i = 0; i < methods.size(); ++i)
      if (methods[i].weight != 0)
        FT_TRY_STATUS(install_adapter(model.adapters[i].adapter, step, i));
    return ok_status();
  };
  if (sides == SideArithmetic::kInt8) {
    FT_TRY(model.step, compile_int8_inference(model.base.graph, methods, plan,
                                              model.precision, install));
    return model;
  }
  FT_TRY(model.step,
         compile_inference(model.base.graph, methods, plan, model.precision));
  FT_TRY_STATUS(install(model.step));
  return model;
}

}  // namespace ft
