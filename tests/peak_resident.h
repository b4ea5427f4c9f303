// For tests of what takes no memory.
#pragma once

#include <cstddef>
#include <fstream>
#include <string>

namespace ft {

// The most of this process that was ever in memory; 0: the system does not say.
inline size_t peak_resident_kb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6));
  return 0;
}

}  // namespace ft
