// Exchange of bottleneck adapters with AdapterHub: folders as the `adapters`
// library saves and loads them, for BERT and Llama.
//
// Tensors have the same shapes on both sides and other names
// (adapterhub_places.h). Settings that change what the tensors mean and that
// fieldtune cannot honour are refused by name; those that only say how an
// adapter was started or trained are dropped. Source: adapters 1.3, BnConfig
// and the modules that it describes.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/adapter_file.h"
#include "adapters/trust/load_checks.h"
#include "base/result.h"
#include "ir/graph.h"

namespace ft {

inline constexpr std::string_view kAdapterHubConfig = "adapter_config.json";
inline constexpr std::string_view kAdapterHubTensors = "adapter.safetensors";
inline constexpr std::string_view kAdapterHubPickle = "pytorch_adapter.bin";
inline constexpr std::string_view kAdapterHubHeadConfig = "head_config.json";
inline constexpr std::string_view kAdapterHubHead = "model_head.safetensors";
inline constexpr std::string_view kAdapterHubHeadPickle =
    "pytorch_model_head.bin";

// Whether the text of an adapter_config.json is AdapterHub's rather than
// PEFT's.
bool is_adapterhub(const std::string& config);

// The adapter that the files hold; `head` is empty where there is none, and
// `origin` is for error messages. Tensors and head pass the ten load checks
// first.
Result<Adapter> from_adapterhub(const std::string& config,
                                std::span<const std::byte> tensors,
                                std::span<const std::byte> head,
                                const std::string& origin,
                                const LoadRules& rules = {});

// Makes an adapter of from_adapterhub() one of this base; leaves others alone.
// Models with a head and without differ in a prefix of all names; a head that
// is the base's own is dropped. Fails where a layer of the base has no tensors
// though the settings do not leave it out, or for a head of another kind.
Status fit_adapterhub(const Graph& base, Adapter& adapter);

// What AdapterHub's loader needs; head_config and head are empty where the
// adapter has no head. Fails where AdapterHub has no such adapter. `name` is
// AdapterHub's name of the adapter.
struct AdapterHubFiles {
  std::string config;
  std::vector<std::byte> tensors;
  std::string head_config;
  std::vector<std::byte> head;
};
Result<AdapterHubFiles> to_adapterhub(const Adapter& adapter,
                                      const std::string& name,
                                      const std::string& model_name);

}  // namespace ft
