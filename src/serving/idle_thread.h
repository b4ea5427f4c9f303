// What a thread that must not be in anyone's way asks of Linux: to run only
// when a core has nothing else to do, on some cores only, and how much others
// wait.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ft {

// Puts the calling thread into SCHED_IDLE; false where the system refuses.
bool become_idle_class();

// Confines the calling thread to these cores; none: all of them. kIo where
// none of them exists.
Status confine_to(std::span<const int> cpus);

// The share of the last ten seconds, in percent, in which some thread waited
// for a core; nothing where the text is not that of /proc/pressure/cpu.
std::optional<double> parse_pressure(std::string_view text);

// The same of this machine, now; nothing where the kernel does not tell.
std::optional<double> cpu_pressure();

}  // namespace ft
