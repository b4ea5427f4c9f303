#include "cli/measure.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

namespace ft::cli {

size_t peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (size_t kib = 0; word == "VmHWM:" && status >> kib) return kib * 1024;
  return 0;
}

size_t measure_arena_use(Session& session) {
  const auto region = session.all_persistent();
  const std::vector<std::byte> saved(region.begin(), region.end());
  size_t used = 0;
  for (const std::byte pattern : {std::byte{0xA5}, std::byte{0x5A}}) {
    session.paint_arena(pattern);
    for (size_t i = 0; i < session.program().inputs.size(); ++i)
      std::ranges::fill(session.input(i), std::byte{0});
    session.run();
    used = std::max(used, session.painted_bytes_used(pattern));
  }
  std::ranges::copy(saved, region.begin());
  return used;
}

}  // namespace ft::cli
