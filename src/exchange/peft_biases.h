// BitFit as PEFT keeps it: a LoRA adapter with `bias` "all" whose update is
// zero. The bias of a layer that LoRA wraps is named `<module>.base_layer.bias`
// there.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "adapters/adapter_file.h"
#include "base/result.h"

namespace ft {

// Whether a LoRA configuration says that biases were trained.
bool trains_biases(const nlohmann::ordered_json& config);

// Makes an adapter of method bitfit of what a PEFT folder holds. Fails where
// its LoRA update is not zero.
Status read_peft_biases(Adapter& adapter);

// The same back: PEFT needs a layer to wrap, which the adapter's metadata names
// (kPeftTarget); no update of it is written, which leaves PEFT's own zero.
Status write_peft_biases(Adapter& adapter, nlohmann::ordered_json& config);

}  // namespace ft
