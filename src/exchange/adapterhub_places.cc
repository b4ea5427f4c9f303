#include "exchange/adapterhub_places.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "methods/method.h"

namespace ft {
namespace {

constexpr HubPlace kPlaces[] = {
    {"bert", "encoder.layer.", ".attention.output.dense",
     ".attention.output.adapters.", "mh_adapter"},
    {"bert", "encoder.layer.", ".output.dense", ".output.adapters.",
     "output_adapter"},
    {"llama", "layers.", ".self_attn.o_proj", ".attention_adapters.adapters.",
     "mh_adapter"},
    {"llama", "layers.", ".mlp.down_proj", ".output_adapters.adapters.",
     "output_adapter"},
};

// Splits `<prefix><stack><layer><rest>`; false where it is not that.
bool split_layer(std::string_view name, const HubPlace& place, HubTensor& out,
                 std::string_view& rest) {
  const size_t at = name.find(place.stack);
  if (at == std::string_view::npos || (at > 0 && name[at - 1] != '.'))
    return false;
  const std::string_view number = name.substr(at + place.stack.size());
  const char* end = number.data() + number.size();
  int32_t layer = -1;
  const auto [stop, error] = std::from_chars(number.data(), end, layer);
  if (error != std::errc() || layer < 0 || layer >= kMaxHubLayers) return false;
  out.prefix = name.substr(0, at);
  out.layer = layer;
  rest = number.substr(static_cast<size_t>(stop - number.data()));
  return true;
}

// The place whose `tail` stands between layer and tensor.
template <class Tail>
std::optional<HubTensor> parse(std::string_view name, const Tail& tail) {
  for (const HubPlace& place : kPlaces) {
    const std::string middle = tail(place);
    HubTensor t{.place = &place, .prefix = {}, .layer = 0, .tensor = {}};
    std::string_view rest;
    if (middle.empty() || !split_layer(name, place, t, rest) ||
        !rest.starts_with(middle))
      continue;
    t.tensor = rest.substr(middle.size());
    if (std::ranges::find(kHubTensors, t.tensor) != kHubTensors.end()) return t;
  }
  return std::nullopt;
}

}  // namespace

std::span<const HubPlace> hub_places() { return kPlaces; }

std::string HubTensor::module() const {
  return fmt::format("{}{}{}{}", prefix, place->stack, layer, place->module);
}

std::string HubTensor::hub_key(std::string_view name) const {
  return fmt::format("{}{}{}{}{}.{}", prefix, place->stack, layer,
                     place->adapters, name, tensor);
}

std::string HubTensor::our_key() const { return peft_key(module(), tensor); }

std::optional<HubTensor> parse_hub_key(std::string_view key,
                                       std::string_view model_type,
                                       std::string_view name) {
  return parse(key, [&](const HubPlace& place) {
    return place.model_type == model_type
               ? fmt::format("{}{}.", place.adapters, name)
               : std::string();
  });
}

std::optional<HubTensor> parse_our_key(std::string_view key) {
  constexpr std::string_view kPrefix = "base_model.model.";
  if (!key.starts_with(kPrefix)) return std::nullopt;
  return parse(key.substr(kPrefix.size()), [](const HubPlace& place) {
    return fmt::format("{}.", place.module);
  });
}

}  // namespace ft
