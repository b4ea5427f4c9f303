#include "train/trained_adapter.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "train/answers.h"

namespace ft {
namespace {

using Json = nlohmann::ordered_json;

// The values of a parameter of the step; none for kNone.
std::span<const float> values_of(Session& session, const CompiledStep& step,
                                 ValueId id) {
  if (id == kNone) return {};
  const auto bytes = session.persistent(step.program.graph.value(id).name);
  return {reinterpret_cast<const float*>(bytes.data()),
          bytes.size() / sizeof(float)};
}

// What the step computed with becomes what the file holds.
Status quantize_entries(Session& session, const CompiledStep& step,
                        const StepSettings& settings, Adapter& adapter) {
  const AdapterStorage& storage = settings.storage;
  if (storage.is_f32()) return ok_status();
  const auto& tensors = step.adapted.tensors;
  FT_TRY(const auto chosen, quantized_tensors(tensors, storage));
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (!chosen[i]) continue;
    AdapterEntry& entry = *std::ranges::find(adapter.tensors, tensors[i].name,
                                             &AdapterEntry::name);
    if (settings.precision == Precision::kInteger) {
      quantize_integer_entry(storage.quantizer, entry);
      continue;
    }
    const auto learned =
        std::ranges::find(step.learned, tensors[i].name, &LearnedSteps::tensor);
    const bool found = learned != step.learned.end();
    quantize_entry(storage.quantizer,
                   values_of(session, step, found ? learned->log_ratio : kNone),
                   values_of(session, step, found ? learned->shift : kNone),
                   entry);
  }
  return ok_status();
}

}  // namespace

Json optimizer_fields(const OptimizerSettings& settings) {
  Json fields;
  for (const auto& [name, value] : describe(settings)) {
    const Json parsed = Json::parse(value, nullptr, false);
    fields[name] = parsed.is_discarded() ? Json(value) : parsed;
  }
  return fields;
}

Result<Adapter> trained_adapter(Session& session, const CompiledStep& step,
                                const StepSettings& settings,
                                const std::string& base_sha256) {
  Adapter adapter;
  for (const AdapterTensor& t : step.adapted.tensors) {
    if (t.adapter != settings.below.size()) continue;
    adapter.tensors.push_back(
        {.name = t.name,
         .shape = t.file_shape(),
         .values = to_file_layout(t, adapter_values(session, t))});
  }
  FT_TRY_STATUS(quantize_entries(session, step, settings, adapter));
  adapter.metadata = to_metadata(settings.method);
  adapter.metadata.insert(step.adapted.metadata.begin(),
                          step.adapted.metadata.end());
  adapter.metadata["base_sha256"] = base_sha256;
  adapter.metadata["precision"] = name_of(settings.precision);
  adapter.metadata["plan_hash"] = plan_hash(step.program);
  adapter.metadata["optimizer"] = optimizer_fields(settings.optimizer).dump();
  adapter.metadata["created_by"] = "fieldtune " FT_VERSION;
  if (const TensorType& x = step.program.inputs[0].type; x.dtype == DType::kS32)
    adapter.metadata["seq_len"] = std::to_string(x.shape.back());
  return adapter;
}

size_t trainable_values(const CompiledStep& step) {
  size_t n = 0;
  for (const AdapterTensor& t : step.adapted.tensors)
    if (t.trainable) n += static_cast<size_t>(t.file_shape().num_elements());
  return n;
}

}  // namespace ft
