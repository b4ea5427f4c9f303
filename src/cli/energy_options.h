// --energy-mj-per-day: how much training a day's energy pays for.
#pragma once

#include <CLI/CLI.hpp>

#include "base/result.h"
#include "cli/output.h"
#include "plan/target.h"
#include "search/schedule.h"

namespace ft::cli {

struct EnergyOptions {
  double mj_per_day = 0;      // 0: any
  int64_t train_samples = 0;  // 0: not known

  void add_to(CLI::App& app);
  bool given() const { return mj_per_day > 0 || train_samples > 0; }
};

// Refuses targets without figures of energy.
Status check_states_energy(const std::optional<Target>& target,
                           const char* options);

// updates_per_day, epochs_per_day and days of a schedule; those of epochs only
// where `updates` of an epoch are known (not 0).
void add_schedule_fields(const EnergySchedule& schedule, int64_t updates,
                         Json& fields);

// Adds update_energy_mj and what `options` ask for to the fields of a plan,
// which has step_ms and step_energy_mj.
Status add_energy(const EnergyOptions& options, const Target& target,
                  int64_t batch, int64_t accumulate, int epochs, Json& fields);

}  // namespace ft::cli
