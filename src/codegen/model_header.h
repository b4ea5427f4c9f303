// The text of ft_model.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "codegen/device_model.h"

namespace ft::codegen {

// A function that gives the address of an input or output.
struct Accessor {
  std::string name;  // "ft_infer_input"
  const Binding* binding;
  bool is_input;
};

// Of a training program the last two inputs are the target and the numbers for
// the optimizer; the latter are not the caller's.
std::vector<Accessor> accessors(const Program& program,
                                const std::string& prefix, bool training);
std::string accessor_prototype(const Accessor& accessor);

std::string print_model_header(const DeviceModel& model,
                               const DeviceSizes& sizes,
                               const std::optional<Slices>& slices);

}  // namespace ft::codegen
