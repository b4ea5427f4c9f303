// Rewriting a .tflite file: the same model with other weights.
//
// Everything that is not edited stays as it was: operators, metadata and
// signatures as far as tflite.fbs knows them, which is all that the importer
// accepts. Not for writing a model from a Graph.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "ir/types.h"

namespace ft {

// What changes of one tensor; the rest keeps its value. `data` is as long as
// shape and dtype say and is given for constants only.
struct TensorEdit {
  int tensor_index = -1;  // TfliteModel::tensor_of
  std::optional<Shape> shape = {};
  std::optional<QuantParams> quant = {};
  std::optional<std::vector<std::byte>> data = {};
  // The tensor changes its dtype: to float32, without a quantizer (merged
  // weights of a hybrid model, whose int8 weights meet float activations), or
  // to int8 or int32 of `quant`.
  std::optional<DType> dtype = {};
};

struct TfliteEdits {
  std::vector<TensorEdit> tensors;
  // Operators get the versions that their int8 forms came with.
  bool int8_versions = false;
};

// A buffer that several tensors share is split before one of them changes. The
// result is imported once more before it is returned, so that no edit can make
// a file that we would refuse.
Result<std::vector<std::byte>> rewrite_tflite(
    std::span<const std::byte> original, const TfliteEdits& edits);

}  // namespace ft
