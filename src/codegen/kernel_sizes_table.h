// targets/kernel_sizes.txt as text, put in when building.
#pragma once

#include <string_view>

namespace ft::codegen {

std::string_view kernel_sizes_table();

}  // namespace ft::codegen
