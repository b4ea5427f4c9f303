// The texts of ft_model.h and ft_model.c.
#pragma once

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

Result<ModelSource> print_model_source(const DeviceModel& model,
                                       const DeviceSizes& sizes,
                                       Constants& constants);

}  // namespace ft::codegen
