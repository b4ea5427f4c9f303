// The memory map of a compiled program.
#pragma once

#include "cli/report/report.h"
#include "plan/program.h"

namespace ft::cli {

MemoryMap map_of(const Program& program);

}  // namespace ft::cli
