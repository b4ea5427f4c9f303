// What a run of this process really used.
#pragma once

#include <cstddef>

#include "exec/session.h"

namespace ft::cli {

// VmHWM rather than getrusage(), whose peak includes what the parent had
// resident when it started us. 0 where there is no /proc.
size_t peak_rss_bytes();

// Runs the step twice over differently painted arenas and looks how far bytes
// were written; parameters and states are put back.
size_t measure_arena_use(Session& session);

}  // namespace ft::cli
