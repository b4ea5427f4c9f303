#include "search/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ft {
namespace {

constexpr double kDayMs = 24 * 3600 * 1e3;
constexpr double kMost = 1e15;  // what a double counts exactly

int64_t whole(double count) {
  return static_cast<int64_t>(std::min(std::floor(count), kMost));
}

}  // namespace

Result<EnergySchedule> energy_schedule(const UpdateCost& update,
                                       double energy_mj_per_day,
                                       int64_t updates, int epochs) {
  EnergySchedule s{
      .energy_mj_per_day = energy_mj_per_day,
      .update_mj = update.mj,
      .epoch_mj = update.mj * static_cast<double>(updates),
  };
  if (!(update.mj <= energy_mj_per_day))
    return does_not_fit(fmt::format(
        "an update needs {:.4g} mJ, a day has {:.4g} mJ: the smallest energy "
        "that works is {:.4g} mJ a day",
        update.mj, energy_mj_per_day, update.mj));
  if (update.ms > kDayMs)
    return does_not_fit(fmt::format(
        "an update takes {:.4g} hours, longer than a day", update.ms / 3.6e6));
  const double by_energy =
      update.mj > 0 ? energy_mj_per_day / update.mj : kMost;
  const double by_time = update.ms > 0 ? kDayMs / update.ms : kMost;
  s.updates_per_day = whole(std::min(by_energy, by_time));
  const int64_t all = updates * epochs;
  s.days = (all + s.updates_per_day - 1) / s.updates_per_day;
  return s;
}

}  // namespace ft
