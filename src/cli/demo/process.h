// Runs another program and waits for it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace ft::cli {

// argv[0] is looked up in PATH; nothing is passed through a shell, and what the
// program prints is dropped. Fails with kIo if it does not exist (the sentence
// ends in `if_missing`), or if it ends with another code than 0. May be called
// from several threads.
Status run_process(const std::vector<std::string>& argv,
                   const std::string& if_missing);

}  // namespace ft::cli
