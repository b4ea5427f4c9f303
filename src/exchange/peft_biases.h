// Biases as PEFT keeps them beside LoRA, with `bias` "all" or "lora_only": that
// of a layer that LoRA wraps is `<module>.base_layer.bias` there, any other
// `<module>.bias`. BitFit is the same with no update at all.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "adapters/adapter_file.h"
#include "base/result.h"

namespace ft {

// Whether a LoRA configuration says that biases were trained.
bool trains_biases(const nlohmann::ordered_json& config);

// Whether a folder that trains biases has no update beside them: BitFit's.
bool has_biases_only(const Adapter& adapter);

// The biases beside an update under our names, and under PEFT's. Both fail
// where a tensor has no name of PEFT's.
Status rename_from_peft(Adapter& adapter);
Status rename_to_peft(Adapter& adapter);
// A bias that is trained without the weight beside it: none of a whole head.
bool is_lone_bias(const Adapter& adapter, const AdapterEntry& tensor);

// Makes an adapter of method bitfit of what a PEFT folder holds.
Status read_peft_biases(Adapter& adapter);

// The same back: PEFT needs a layer to wrap, which the adapter's metadata names
// (kPeftTarget); no update of it is written, which leaves PEFT's own zero.
Status write_peft_biases(Adapter& adapter, nlohmann::ordered_json& config);

}  // namespace ft
