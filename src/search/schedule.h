// Training that an energy budget pays for, a day at a time: what a harvester or
// a battery's share gives.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"

namespace ft {

struct UpdateCost {
  double mj = 0;  // of one update: `accumulate` runs of the step
  double ms = 0;
};

struct EnergySchedule {
  double energy_mj_per_day = 0;
  double update_mj = 0, epoch_mj = 0;
  int64_t updates_per_day = 0;  // whole ones
  int64_t days = 0;             // until all epochs are done
  bool operator==(const EnergySchedule&) const = default;
};

// As many updates a day as `energy_mj_per_day` pays for and a day has time for.
// kDoesNotFit where that is none: the message has the least energy that is
// enough for one. `updates`: of an epoch.
Result<EnergySchedule> energy_schedule(const UpdateCost& update,
                                       double energy_mj_per_day,
                                       int64_t updates, int epochs);

}  // namespace ft
