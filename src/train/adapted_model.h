// A base model with adapters beside it, ready to run: what eval, run, merge and
// bench start from.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "adapters/adapter_file.h"
#include "adapters/trust/load_checks.h"
#include "base/result.h"
#include "methods/method.h"
#include "train/base_model.h"
#include "train/step.h"

namespace ft {

// An adapter and the factor of what it adds.
struct AdapterChoice {
  std::string path;
  double weight = 1;
  LoadRules rules = {};  // what its file must be
};

struct LoadedAdapter {
  Adapter adapter;
  MethodSettings method;  // with the weight of this use
  std::string sha256;     // of its tensors' file
};

struct AdaptedModel {
  BaseModel base;  // in the adapters' precision, batch 1
  std::vector<LoadedAdapter> adapters;
  Precision precision = Precision::kMixed;
  CompiledStep step;  // inference; parameters hold the adapters

  // Of the adapter that says what the answers mean: the one with a new head, or
  // the first. Empty where there is none.
  Metadata metadata() const;
};

// Reads an adapter's file or folder, through the load checks. Refuses settings
// that do not exist.
Result<LoadedAdapter> open_adapter(const AdapterChoice& choice);

// The same of a fieldtune file's bytes, with no sha256; `origin` names them in
// errors. The bytes must not change meanwhile.
Result<LoadedAdapter> read_adapter(std::span<const std::byte> file,
                                   const std::string& origin,
                                   const LoadRules& rules = {},
                                   double weight = 1);

// An adapter that was trained on top of others means nothing without them:
// refused unless they are `before` it. `path` names it.
Status check_below(const LoadedAdapter& adapter,
                   std::span<const LoadedAdapter> before,
                   const std::string& path);

// Of all adapters that have a part; fails where they differ.
Result<Precision> common_precision(std::span<const LoadedAdapter> adapters);
// Tokens in a sample, as training recorded them; 0: none recorded.
int recorded_seq_len(const Adapter& adapter);

// Adapters of one base, in the order in which they are applied; those that were
// trained on top of others stand behind them.
Result<std::vector<LoadedAdapter>> open_adapters(
    std::span<const AdapterChoice> choices);

// Refuses an adapter of another base, and makes one of another program's folder
// an adapter of this base.
Status fit_to_base(const BaseModel& base, LoadedAdapter& adapter);

// Without adapters the base alone, as LiteRT would run it, and with weight 0
// for all of them the same bits. `seq_len` 0 is the adapter's. Refuses adapters
// of another base, of different precisions, with missing or surplus tensors, or
// of other shapes.
Result<AdaptedModel> load_adapted_model(const std::string& model_path,
                                        std::span<const AdapterChoice> choices,
                                        const PlanOptions& plan,
                                        int seq_len = 0,
                                        SideArithmetic sides = {});

// Makes the adapter's tensors the initial values of the program's parameters:
// of those that belong to adapter `index` of several.
Status install_adapter(const Adapter& adapter, CompiledStep& step,
                       size_t index = 0);
// Writes them into a persistent region of the program instead, which stays
// unchanged for all who use it.
Status write_adapter(const Adapter& adapter, const CompiledStep& step,
                     size_t index, std::span<std::byte> region);

}  // namespace ft
