// Which kernel sources a printed program needs.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "codegen/kernel_sources.h"

namespace ft::codegen {

// The files that define `functions` and all that those include and call, by
// path. Fails if no C99 source defines one of them.
Result<std::vector<const SourceFile*>> sources_of(
    const std::set<std::string>& functions);

// The file that defines `function`.
Result<const SourceFile*> source_of(const std::string& function);

// The header that declares what the file `path` defines.
std::string header_of(const SourceFile& file);

// The members of a parameter struct; nullptr where there is no such type.
const ParamType* find_param_type(std::string_view name);

}  // namespace ft::codegen
