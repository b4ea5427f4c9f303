// Folding the adapters of an adapted model into its base's file: what merge,
// and the merged execution of a runtime, start from.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/adapted_model.h"
#include "train/merge.h"

namespace ft {

// Settings and tensors of the adapters, and the range of a new head's answers
// over all adapters that tell one.
Result<MergeInput> merge_input(std::span<const LoadedAdapter> adapters);

// The .tflite file `path` with the adapters folded in, rewritten from its own
// arithmetic, whatever precision they were trained in. Refuses a file that is
// not the one of `base_sha256`, where that is given.
Result<std::vector<std::byte>> merged_tflite_file(
    const std::string& path, const MergeInput& input,
    const std::string& base_sha256 = {});

}  // namespace ft
