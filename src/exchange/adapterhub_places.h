// Where AdapterHub puts bottleneck adapters in a transformer, and how their
// tensors are named there.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ft {

// More layers than any model has: names with larger numbers are none of these.
inline constexpr int64_t kMaxHubLayers = 10000;

// `<prefix><stack><layer><module>` is our module that the adapter stands at,
// and
// `<prefix><stack><layer><adapters><name>.<tensor>` AdapterHub's tensor.
struct HubPlace {
  std::string_view model_type;  // "bert"
  std::string_view stack;       // "encoder.layer."
  std::string_view module;      // ".output.dense"
  std::string_view adapters;    // ".output.adapters."
  std::string_view setting;     // "output_adapter"
};
std::span<const HubPlace> hub_places();

// Of one adapter, in both programs.
inline constexpr std::array<std::string_view, 4> kHubTensors = {
    "adapter_down.0.weight", "adapter_down.0.bias", "adapter_up.weight",
    "adapter_up.bias"};

struct HubTensor {
  const HubPlace* place = nullptr;
  std::string prefix;  // "bert.", or "" of a model without a head
  int64_t layer = 0;
  std::string tensor;  // one of kHubTensors

  std::string module() const;  // ours
  std::string hub_key(std::string_view name) const;
  std::string our_key() const;  // "base_model.model.<module>.<tensor>"
};

// nullopt for the name of anything else.
std::optional<HubTensor> parse_hub_key(std::string_view key,
                                       std::string_view model_type,
                                       std::string_view name);
std::optional<HubTensor> parse_our_key(std::string_view key);

}  // namespace ft
