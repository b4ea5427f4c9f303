// Names of nodes: short, stable, unique, and made from the names that the file
// gives its tensors, so that --target-modules can say "conv2d_1".
//
// 'functional_1/conv2d_1/Conv2D' is "conv2d_1": the scope that most tensors
// share and the leaf that only says what the operator is are dropped.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "formats/tflite/model_file.h"

namespace ft {

class NodeNames {
 public:
  explicit NodeNames(const ModelFile& file);
  // A new name for operator `index`.
  std::string make(int index);

 private:
  std::string stem(int index) const;
  std::string shorten(std::string_view segment) const;
  std::string unique(std::string name);

  const ModelFile& file_;
  std::string scope_;  // "functional_1/" or empty
  std::set<std::string, std::less<>> taken_;
};

}  // namespace ft
