// A Hugging Face model folder with other values in some of its tensors.
//
// Files are rewritten whole: tensors keep their dtype (rounded to the nearest
// float16 or bfloat16) and place among the files, and what is not edited keeps
// its bytes. Not for other architectures or new tensors.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace ft {

struct HuggingFaceEdits {
  struct Tensor {
    std::vector<int64_t> shape;  // may differ from the old one
    std::vector<float> values;
  };
  std::map<std::string, Tensor> tensors;  // by name
  int num_labels = 0;                     // > 0: config.json tells so many
};

// The files of the new folder, name and bytes: weights, their index, the
// tokenizer's and other small files as they are, and config.json last. Fails on
// a tensor that the folder has not, or that float16 cannot hold.
Result<FolderFiles> rewrite_huggingface(const std::string& folder,
                                        const HuggingFaceEdits& edits);

}  // namespace ft
