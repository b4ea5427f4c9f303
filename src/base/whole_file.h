// All bytes of a file, in memory of ours. For files that others may write to
// while they are read: a mapping ends the process (SIGBUS) where the file is
// cut, and shows what is written into it. Else MappedFile (file.h) is cheaper.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace ft {

// `reserve` is asked with their number before any memory is taken, and what it
// fails with is returned. Fails with kInvalidInput where the file got shorter
// meanwhile. In file.cc.
Result<std::vector<std::byte>> read_whole_file(
    const std::string& path,
    const std::function<Status(size_t bytes)>& reserve);

}  // namespace ft
