// The C99 sources of all kernel rows, as text, for printing programs that stand
// alone. The table is made when building, by tools/embed_kernels.py.
#pragma once

#include <span>
#include <string_view>

namespace ft::codegen {

struct SourceFile {
  std::string_view path;  // as in an #include: "kernels/conv2d/conv2d.h"
  std::string_view text;
  std::string_view defines, calls;  // functions, separated by spaces
};

struct ParamMember {
  std::string_view name;  // "conv.batch"
  bool is_float;          // else int32_t
  int count;              // of an array, else 1
};

// The layout of an ft_<op>_params struct.
struct ParamType {
  std::string_view name;
  std::span<const ParamMember> members;
};

std::span<const SourceFile> kernel_sources();
std::span<const ParamType> param_types();

}  // namespace ft::codegen
