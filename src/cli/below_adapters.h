// The adapters that a new one is trained on top of (--on-top-of): frozen, in
// front of it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/output.h"
#include "train/adapted_model.h"

namespace ft::cli {

class BelowAdapters {
 public:
  // Refuses adapters of another base, of another precision, and a head whose
  // classes are not those of the data.
  static Result<BelowAdapters> open(std::span<const AdapterChoice> choices,
                                    const BaseModel& base, Precision precision,
                                    const std::vector<std::string>& classes);

  // The head of an adapter below makes the model a classifier, if the loss is
  // to be chosen by itself.
  void add_to(StepSettings& settings, bool choose_loss) const;
  // Their values become the initial ones of the step's parameters.
  Status install(CompiledStep& step) const;
  size_t size() const { return adapters_.size(); }
  Json hashes() const;  // SHA-256 of each

 private:
  std::vector<LoadedAdapter> adapters_;
};

}  // namespace ft::cli
