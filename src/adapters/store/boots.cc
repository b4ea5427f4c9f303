// Trials that end by themselves: so many starts, then the way back.
#include <fmt/format.h>

#include <algorithm>

#include "adapters/store/experiment_index.h"
#include "adapters/store/impl.h"

namespace fieldtune {

using ft::store::ExperimentIndex;

Status AdapterStore::Impl::limit_boots(const StoredAdapter& row,
                                       int64_t boots) {
  ExperimentIndex experiments(index, where);
  if (row.slot != Slot::kTrial || boots == 0)
    return experiments.forget_boots(row.name);
  return experiments.set_boots(
      {.name = row.name, .version = row.version, .boots = 0, .most = boots});
}

namespace {

// The trial is over, and so is what compares it.
Status end_trial(AdapterStore::Impl& store, const StoredAdapter& trial,
                 const std::string& reason,
                 const ft::store::Index::Moment& moment) {
  ExperimentIndex experiments(store.index, store.where);
  FT_TRY(auto running, experiments.running(trial.name));
  if (running && running->treatment == trial.version)
    return end_experiment(store, *running, ExperimentEnd::kRollback, reason,
                          moment);
  FT_TRY_STATUS(experiments.forget_boots(trial.name));
  return store.move(trial, Slot::kRetired);
}

}  // namespace

Result<std::vector<Boot>> AdapterStore::begin_boot() {
  std::vector<Boot> done;
  ExperimentIndex experiments(impl_->index, impl_->where);
  FT_TRY(const auto before, experiments.boots());
  if (before.empty()) return done;
  FT_TRY(Change change, Change::begin(*impl_));
  FT_TRY(auto counted, experiments.boots());
  for (auto& boots : counted) {
    FT_TRY(const auto trial, impl_->index.in_slot(boots.name, Slot::kTrial));
    if (!trial || trial->version != boots.version) {  // only in a damaged index
      FT_TRY_STATUS(experiments.forget_boots(boots.name));
      continue;
    }
    ++boots.boots;
    Boot boot{*trial, boots.boots, boots.most, boots.boots > boots.most};
    if (boot.rolled_back)
      FT_TRY_STATUS(
          end_trial(*impl_, *trial,
                    fmt::format("{} was started {} times and not confirmed",
                                spec_of(*trial), boots.most),
                    change.moment()));
    else
      FT_TRY_STATUS(experiments.set_boots(boots));
    FT_TRY(boot.adapter, impl_->must_find(boots.name, boots.version));
    done.push_back(std::move(boot));
  }
  FT_TRY_STATUS(change.commit());
  return done;
}

}  // namespace fieldtune
