// Folding adapters into a Hugging Face folder: the same folder with other
// weights, in the dtype that they have.
#pragma once

#include <string>

#include "base/result.h"
#include "formats/huggingface/export.h"
#include "ir/graph.h"
#include "train/merge.h"

namespace ft {

// `base` is the graph of `folder`. Fails where a weight cannot change alone,
// because two layers share it, or where the folder has no place for what was
// trained.
Result<FolderFiles> merged_huggingface(const std::string& folder,
                                       const Graph& base,
                                       const MergeInput& input);

}  // namespace ft
