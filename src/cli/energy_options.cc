#include "cli/energy_options.h"

#include <fmt/format.h>

#include <cmath>

#include "train/trainer.h"

namespace ft::cli {

void EnergyOptions::add_to(CLI::App& app) {
  app.add_option("--energy-mj-per-day", mj_per_day,
                 "of --target: energy that a day has for training; how many "
                 "updates it pays for, and with --train-samples or --search "
                 "how many days the epochs take")
      ->check(CLI::PositiveNumber);
  app.add_option("--train-samples", train_samples,
                 "of --target: samples of an epoch, for the energy of one")
      ->check(CLI::PositiveNumber);
}

Status check_states_energy(const std::optional<Target>& target,
                           const char* options) {
  if (!target || !target->costs)
    return usage_error(
        fmt::format("{} need a --target that states its costs", options));
  for (const ClassCost& c : target->costs->classes)
    if (std::isnan(c.pj_per_cycle))
      return usage_error(
          fmt::format("{} need a --target that states its energy: '{}' has no "
                      "pj_per_cycle",
                      options, target->name));
  return ok_status();
}

void add_schedule_fields(const EnergySchedule& schedule, int64_t updates,
                         Json& fields) {
  fields["update_energy_mj"] = schedule.update_mj;
  fields["updates_per_day"] = schedule.updates_per_day;
  if (updates == 0) return;
  fields["epoch_energy_mj"] = schedule.epoch_mj;
  fields["epochs_per_day"] = static_cast<double>(schedule.updates_per_day) /
                             static_cast<double>(updates);
  fields["days"] = schedule.days;
}

Status add_energy(const EnergyOptions& options, const Target& target,
                  int64_t batch, int64_t accumulate, int epochs, Json& fields) {
  FT_TRY_STATUS(
      check_states_energy(target, "--energy-mj-per-day and --train-samples"));
  const auto runs = static_cast<double>(accumulate);
  const UpdateCost update{.mj = runs * fields["step_energy_mj"].get<double>(),
                          .ms = runs * fields["step_ms"].get<double>()};
  const int64_t updates =
      options.train_samples == 0
          ? 0
          : count_updates(static_cast<size_t>(options.train_samples),
                          static_cast<size_t>(batch), accumulate, 1);
  if (options.mj_per_day > 0) {
    FT_TRY(const EnergySchedule schedule,
           energy_schedule(update, options.mj_per_day, updates, epochs));
    add_schedule_fields(schedule, updates, fields);
    return ok_status();
  }
  fields["update_energy_mj"] = update.mj;
  fields["epoch_energy_mj"] = update.mj * static_cast<double>(updates);
  return ok_status();
}

}  // namespace ft::cli
