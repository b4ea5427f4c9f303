// Prompt and prefix tuning as PEFT keeps them: one tensor, `prompt_embeddings`,
// that belongs to no module, and settings that say the sizes of the model.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "adapters/adapter_file.h"
#include "base/result.h"
#include "exchange/peft_types.h"
#include "ir/graph.h"
#include "methods/settings.h"

namespace ft {

// Gives the adapter of a PEFT folder its settings, and the tensors of a head
// our names. Fails with the key or tensor that cannot be honoured.
Status read_peft_prompts(const nlohmann::ordered_json& config,
                         const PeftType& type, Adapter& adapter);

// PEFT keeps the head of a classifier beside the prompts, trained or not. True
// where the adapter has none yet; then the base's can be added.
bool lacks_peft_head(const Adapter& adapter);
Status add_peft_head(const Graph& base, Adapter& adapter);

// The keys of adapter_config.json that only these methods have, and the tensors
// under PEFT's names. Fails where the adapter does not tell the model's sizes.
Status write_peft_prompts(const PeftType& type, const MethodSettings& settings,
                          Adapter& adapter, nlohmann::ordered_json& config);

}  // namespace ft
