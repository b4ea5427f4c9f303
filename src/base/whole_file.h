// All bytes of a file, or the first of them, in memory of ours. For files that
// others may write to while they are read: a mapping ends the process (SIGBUS)
// where the file is cut, and shows what is written into it. Else MappedFile
// (file.h) is cheaper.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace ft {

// `reserve` is asked with their number before any memory is taken, and what it
// fails with is returned. Fails with kInvalidInput where the file got shorter
// or longer meanwhile, and with kDoesNotFit where there is no memory. In
// file.cc.
Result<std::vector<std::byte>> read_whole_file(
    const std::string& path,
    const std::function<Status(size_t bytes)>& reserve);

// Its first bytes, `most` at most, and how many there are.
struct Beginning {
  std::vector<std::byte> bytes;
  size_t file_bytes = 0;
};
Result<Beginning> read_beginning(const std::string& path, size_t most);

}  // namespace ft
