// Times the runs of a session, whole or call by call.
#pragma once

#include <vector>

#include "exec/session.h"

namespace ft::cli {

struct Timing {
  std::vector<double> micros;  // of each run
  std::vector<std::vector<double>> by_call;
};

double median(std::vector<double> values);

// Random inputs that no kernel finds special: floats are finite and small.
void fill_inputs(Session& session);

// `runs` runs after a tenth as warm-up; with `by_call` each call's time too.
Timing time_runs(Session& session, int runs, bool by_call);

}  // namespace ft::cli
