// The part of a model in front of everything that training changes.
//
// Where only late layers are adapted, what the layers before them answer to a
// sample is the same in every epoch: it can be computed once, kept, and read
// instead of the sample. Skipping frozen layers this way is old practice of
// transfer learning ("bottleneck" files); here it is exact: the same bits as
// training on the samples.
#pragma once

#include "base/result.h"
#include "ir/graph.h"

namespace ft {

struct SplitModel {
  Graph trunk;  // the model's input -> the feature
  Graph rest;   // the feature -> the model's outputs; layers keep their names
  // What passes between them, with a batch's samples in its first dimension.
  std::string feature;
  TensorType type;
};

// Splits `base` at the last value that `adapted` (base with methods applied, so
// that both know base's values by the same ids) computes from the sample alone,
// without any parameter, and through which all that comes later sees the
// sample. Fails where there is none but the input itself, naming the first
// layer that is trained, and for models whose samples are not rows of a batch.
Result<SplitModel> split_frozen_trunk(const Graph& base, const Graph& adapted);

}  // namespace ft
