// The texts of ft_model.h and ft_model.c.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "base/result.h"
#include "codegen/constants.h"
#include "codegen/device_model.h"

namespace ft::codegen {

struct ModelSource {
  std::string header, source;
  std::set<std::string> kernels;  // functions that it calls
};

// `slices`: of a training that is done in slices.
Result<ModelSource> print_model_source(const DeviceModel& model,
                                       const DeviceSizes& sizes,
                                       const std::optional<Slices>& slices,
                                       Constants& constants);

}  // namespace ft::codegen
