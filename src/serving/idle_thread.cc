#include "serving/idle_thread.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

namespace ft {

bool become_idle_class() {
  const sched_param none = {};
  return ::sched_setscheduler(0, SCHED_IDLE, &none) == 0;
}

Status confine_to(std::span<const int> cpus) {
  if (cpus.empty()) return ok_status();
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus)
    if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET(static_cast<size_t>(cpu), &set);
  if (::sched_setaffinity(0, sizeof set, &set) == 0) return ok_status();
  return io_error(fmt::format("cannot run on cores {}: {}",
                              fmt::join(cpus, ", "), std::strerror(errno)));
}

std::optional<double> parse_pressure(std::string_view text) {
  constexpr std::string_view kBefore = "some avg10=";
  if (!text.starts_with(kBefore)) return std::nullopt;
  double percent = 0;
  const char* const begin = text.data() + kBefore.size();
  const auto [end, error] =
      std::from_chars(begin, text.data() + text.size(), percent);
  if (error != std::errc() || end == begin) return std::nullopt;
  return percent;
}

std::optional<double> cpu_pressure() {
  // Not as a file of ours: Linux says that it has no bytes.
  std::ifstream file("/proc/pressure/cpu");
  std::string line;
  return std::getline(file, line) ? parse_pressure(line) : std::nullopt;
}

}  // namespace ft
