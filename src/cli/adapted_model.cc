#include "cli/adapted_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "train/answers.h"
#include "train/peft.h"

namespace ft::cli {
namespace {

const AdapterEntry* find_entry(const Adapter& adapter,
                               const std::string& name) {
  for (const AdapterEntry& t : adapter.tensors)
    if (t.name == name) return &t;
  return nullptr;
}

// 0 where the adapter records none, or no number.
int recorded_seq_len(const Adapter& adapter) {
  const std::string text = adapter.get("seq_len");
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return std::max(value, 0);
}

}  // namespace

Status install_adapter(const Adapter& adapter, CompiledStep& step) {
  Graph& graph = step.program.graph;
  for (const AdapterEntry& t : adapter.tensors)
    if (std::ranges::find(step.adapted.tensors, t.name, &AdapterTensor::name) ==
        step.adapted.tensors.end())
      return invalid_input(fmt::format(
          "adapter tensor '{}' has no place in this model with the adapter's "
          "settings",
          t.name));
  for (const AdapterTensor& t : step.adapted.tensors) {
    const AdapterEntry* entry = find_entry(adapter, t.name);
    if (entry == nullptr)
      return invalid_input(
          fmt::format("the adapter lacks tensor '{}'", t.name));
    if (entry->shape != t.file_shape())
      return invalid_input(
          fmt::format("adapter tensor '{}' has shape {}, expected {}", t.name,
                      entry->shape.to_string(), t.file_shape().to_string()));
    const auto values = from_file_layout(t, entry->values);
    set_adapter_values(graph, t, values);
  }
  return ok_status();
}

Result<AdaptedModel> load_adapted_model(const std::string& model_path,
                                        const std::string& adapter_path,
                                        const PlanOptions& plan, int seq_len) {
  AdaptedModel model;
  if (adapter_path.empty()) {
    FT_TRY(model.base, load_base(model_path, Precision::kMixed, 1, seq_len));
    FT_TRY(model.step, compile_base(model.base.graph, plan));
    return model;
  }
  FT_TRY(model.adapter, load_any_adapter(adapter_path));
  FT_TRY(model.method, settings_from_metadata(model.adapter->metadata));
  FT_TRY(model.precision, parse_precision(model.adapter->get("precision")));
  if (seq_len == 0) seq_len = recorded_seq_len(*model.adapter);
  FT_TRY(model.base, load_base(model_path, model.precision, 1, seq_len));
  FT_TRY_STATUS(check_base(*model.adapter, model.base.sha256));
  FT_TRY(model.step, compile_inference(model.base.graph, model.method, plan,
                                       model.precision));
  FT_TRY_STATUS(install_adapter(*model.adapter, model.step));
  return model;
}

}  // namespace ft::cli
