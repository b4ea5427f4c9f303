// The kernel calls of a Program as C99 functions, one each.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "codegen/constants.h"
#include "plan/program.h"

namespace ft::codegen {

struct PrintedCalls {
  std::string functions;           // their definitions
  std::vector<std::string> names;  // in the order of the calls
  std::set<std::string> kernels;   // functions that they call
};

// `prefix` begins the functions' names. The offsets are added to those of the
// program, for programs whose arenas lie one behind the other. Parameters are
// read from `persistent`, an expression.
struct CallPlaces {
  std::string prefix;
  size_t arena_offset = 0, scratch_offset = 0;
  std::string persistent;  // "m->persistent"
  bool in_parts = false;   // functions take a part, 0 for the whole call
};

Result<PrintedCalls> print_calls(const Program& program,
                                 const CallPlaces& places,
                                 Constants& constants);

}  // namespace ft::codegen
