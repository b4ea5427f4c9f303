// AdaLoRA as PEFT keeps it: a folder holds the triplets that are left, and
// `rank_pattern` says which of the `init_r` at the start those are. A layer may
// have none.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "adapters/adapter_file.h"
#include "base/result.h"

namespace ft {

// Holds `rank_pattern` against the tensors, and leaves out layers without rank.
Status read_peft_ranks(const nlohmann::ordered_json& config, Adapter& adapter);

// Drops the triplets whose singular value is 0 and notes `rank_pattern`, unless
// all are 0 (nothing was trained yet). Fails where a layer has more than
// `init_r`, which PEFT starts every layer with.
Status write_peft_ranks(int init_r, Adapter& adapter,
                        nlohmann::ordered_json& config);

}  // namespace ft
