// Exchange with Hugging Face PEFT: a folder with `adapter_config.json` and
// `adapter_model.safetensors`.
//
// Tensor names and shapes are the same on both sides, so only the settings are
// translated. Settings of PEFT that change what the tensors mean and that
// fieldtune cannot honour are refused by name; those that only say how an
// adapter was trained or started are dropped. Source: PEFT 0.21, "Checkpoint
// format".
#pragma once

#include <string>

#include "adapters/adapter_file.h"
#include "adapters/trust/load_checks.h"
#include "base/result.h"

namespace ft {

inline constexpr std::string_view kPeftConfig = "adapter_config.json";
inline constexpr std::string_view kPeftTensors = "adapter_model.safetensors";

// What PEFT's loader needs, as the texts of its two files. Fails if PEFT has no
// such method. `base_name` becomes base_model_name_or_path.
struct PeftFiles {
  std::string config;              // adapter_config.json
  std::vector<std::byte> tensors;  // adapter_model.safetensors
};
Result<PeftFiles> to_peft(const Adapter& adapter, const std::string& base_name);

// The adapter that the two files hold; `origin` is for error messages. Its
// tensors pass the ten load checks first.
Result<Adapter> from_peft(const std::string& config,
                          std::span<const std::byte> tensors,
                          const std::string& origin,
                          const LoadRules& rules = {});

}  // namespace ft
