#include "cli/below_adapters.h"

#include <fmt/format.h>

namespace ft::cli {
namespace {

Status check(const LoadedAdapter& below, Precision precision,
             const std::vector<std::string>& classes) {
  if (below.adapter.get("precision") != name_of(precision))
    return usage_error(fmt::format(
        "--on-top-of: the adapter was trained in precision {}, not {}",
        below.adapter.get("precision"), name_of(precision)));
  const Json own = Json::parse(below.adapter.get("classes"), nullptr, false);
  if (below.method.num_classes > 0 && own.is_array() && own != Json(classes))
    return usage_error(
        "--on-top-of: the adapter's head has other classes than the data");
  return ok_status();
}

}  // namespace

Result<BelowAdapters> BelowAdapters::open(
    std::span<const AdapterChoice> choices, const BaseModel& base,
    Precision precision, const std::vector<std::string>& classes) {
  BelowAdapters below;
  FT_TRY(below.adapters_, open_adapters(choices));
  for (LoadedAdapter& b : below.adapters_) {
    FT_TRY_STATUS(fit_to_base(base, b));
    FT_TRY_STATUS(check(b, precision, classes));
  }
  return below;
}

void BelowAdapters::add_to(StepSettings& settings, bool choose_loss) const {
  for (const LoadedAdapter& b : adapters_) {
    settings.below.push_back(b.method);
    if (b.method.num_classes > 0 && choose_loss)
      settings.loss = Loss::kSoftmaxCrossEntropy;
  }
}

Status BelowAdapters::install(CompiledStep& step) const {
  for (size_t i = 0; i < adapters_.size(); ++i)
    FT_TRY_STATUS(install_adapter(adapters_[i].adapter, step, i));
  return ok_status();
}

Json BelowAdapters::hashes() const {
  Json all = Json::array();
  for (const LoadedAdapter& b : adapters_) all.push_back(b.sha256);
  return all;
}

}  // namespace ft::cli
