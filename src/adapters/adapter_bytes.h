// An adapter's file brought into memory: not before its header accounts for its
// size, so that a file that only claims gigabytes takes none.
//
// Limits: the header has at most kMaxHeaderBytes (safetensors.h) and is within
// the file; what it says of tensors covers the rest of the file to the byte;
// the file is not larger than the machine's memory. A policy's `max_bytes` or a
// runtime's budget asks for less, by `reserve`. Not for what the bytes mean:
// see trust/load_checks.h, which looks at the header once more.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace ft {

// Files up to here are read at once: a look ahead would cost more than it
// saves.
inline constexpr size_t kReadAtOnceBytes = size_t{1} << 20;

// `reserve`, if there is one, is asked for the file's bytes before anything of
// it is read, and what it fails with is returned. Fails as read_whole_file()
// does, with kInvalidInput on a header that the file cannot have, and with
// kDoesNotFit where the machine has less memory.
Result<std::vector<std::byte>> read_adapter_bytes(
    const std::string& path,
    const std::function<Status(size_t bytes)>& reserve = {});

}  // namespace ft
