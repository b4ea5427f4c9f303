// Networks of varied shapes with random weights, whose calls are timed to learn
// what kernel rows cost on this machine. Not models of anything: every kind of
// layer meets several channel counts, sizes, strides and filters.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"

namespace ft::cli {

struct CalibrationModel {
  std::string name;
  bool int8;
  Graph graph;
};

// Of `batch` samples, each as float32 and as int8.
Result<std::vector<CalibrationModel>> calibration_models(int64_t batch);

}  // namespace ft::cli
