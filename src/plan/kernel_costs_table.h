// The text of targets/kernel_costs.txt, made when building.
#pragma once

#include <string_view>

namespace ft {

std::string_view kernel_costs_table();

}  // namespace ft
