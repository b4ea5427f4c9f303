// Code and stack of kernels as devices' compilers make them
// (targets/kernel_sizes.txt, measured by tools/kernel_sizes.py).
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace ft::codegen {

struct KernelSizes {
  // Bytes of code and tables, by path.
  std::map<std::string_view, size_t> code;
  // Bytes of stack of a function with all that it calls, by name.
  std::map<std::string_view, size_t> stack;
};

// Of an architecture as targets name it, "armv7e-m"; nothing if it is not in
// the table.
std::optional<KernelSizes> kernel_sizes(std::string_view arch);

}  // namespace ft::codegen
