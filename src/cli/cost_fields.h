// What a program costs on a target, as fields of JSON.
#pragma once

#include <string>

#include "cli/output.h"
#include "plan/cost.h"

namespace ft::cli {

// A row for each call: what it has to do, from which its cost is predicted.
Json work_rows(const Program& program, const std::string& name);

// <name>_instructions (of targets that count them), <name>_ms,
// <name>_energy_mj, <name>_<region>_traffic_bytes, <name>_calibrated (share of
// the cycles that rows measured themselves predict).
void add_cost_fields(const ProgramCost& cost, const Target& target,
                     const std::string& name, Json& fields);

// Rows by class of op, and by call.
Json class_rows(const ProgramCost& cost, const std::string& name);
Json call_rows(const Program& program, const ProgramCost& cost,
               const Target& target, const std::string& name);

}  // namespace ft::cli
